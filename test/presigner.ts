import { createPresigningClient } from '#shared/aws/clients.ts'
import { createPresigner } from '#shared/aws/presign.ts'

export const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' }

/** Signs by itself; without an endpoint its addresses are Amazon's. */
export function testPresigner(bucket: string, endpoint?: string) {
  return createPresigner({ s3: createPresigningClient({ region: 'us-east-1', endpoint, credentials }), bucket })
}
