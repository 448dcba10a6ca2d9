import type { APIGatewayProxyEventV2 } from 'aws-lambda'

/** What an API Gateway HTTP API sends to a function, payload format 2.0: the path decoded, the query twice. */
export function gatewayEvent({
  rawPath,
  rawQueryString = '',
  headers = {},
  domainName = 'abc123.execute-api.eu-central-1.amazonaws.com',
}: {
  rawPath: string
  rawQueryString?: string
  headers?: Record<string, string>
  domainName?: string
}): APIGatewayProxyEventV2 {
  const parameters: Record<string, string> = {}
  for (const [name, value] of new URLSearchParams(rawQueryString)) {
    parameters[name] = name in parameters ? `${parameters[name]},${value}` : value
  }
  return {
    version: '2.0',
    routeKey: '$default',
    rawPath,
    rawQueryString,
    headers: { accept: '*/*', host: domainName, 'x-forwarded-for': '192.0.2.1', ...headers },
    ...(rawQueryString && { queryStringParameters: parameters }),
    requestContext: {
      accountId: '123456789012',
      apiId: 'abc123',
      domainName,
      domainPrefix: 'abc123',
      http: { method: 'GET', path: rawPath, protocol: 'HTTP/1.1', sourceIp: '192.0.2.1', userAgent: 'test' },
      requestId: 'id=',
      routeKey: '$default',
      stage: '$default',
      time: '12/Mar/2026:19:03:58 +0000',
      timeEpoch: 1_773_342_238_000,
    },
    isBase64Encoded: false,
  }
}
