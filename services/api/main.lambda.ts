import { existsSync } from 'node:fs'
import { join } from 'node:path'
import awsLambdaFastify from '@fastify/aws-lambda'
import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2, Context } from 'aws-lambda'
import { readConfig } from '#shared/config.ts'
import { asSent } from './gateway-event.ts'
import { createPage, readPageSources } from './page.ts'
import { readSecretSettings } from './secret-settings.ts'
import { createService, optionalSettings, serviceSettings } from './service.ts'

/** Beside the bundled module; run from its sources, the API is without a page. */
const pageFolder = join(import.meta.dirname, 'page')

const env = await readSecretSettings(process.env)
const page = existsSync(pageFolder) ? createPage(await readPageSources(pageFolder)) : undefined
const { app } = await createService(readConfig(serviceSettings, env, optionalSettings), { onLambda: true, page })
const answer = awsLambdaFastify(app, { decorateRequest: false, parseCommaSeparatedQueryParams: false })
await app.ready()

/** Answers the events of an API Gateway HTTP API, payload format 2.0, and of a function URL. */
export async function handler(
  event: APIGatewayProxyEventV2,
  context: Context,
): Promise<APIGatewayProxyStructuredResultV2> {
  return await answer(asSent(event), context)
}
