import type { APIGatewayProxyEventV2 } from 'aws-lambda'

/**
 * The event with its path and its query as the client sent them. An HTTP API decodes the path, so it is encoded again; a
 * function URL leaves it as it was. Of the query only `rawQueryString` tells a comma from a parameter given twice.
 * What an HTTP API loses cannot be brought back: it cuts the path at an encoded `?`.
 */
export function asSent(event: APIGatewayProxyEventV2): APIGatewayProxyEventV2 {
  const { rawPath, rawQueryString, queryStringParameters: _, ...rest } = event
  const isFunctionUrl = /\.lambda-url\.[\w-]+\.on\.aws$/.test(event.requestContext.domainName)
  const path = isFunctionUrl ? rawPath : rawPath.split('/').map(encodeURIComponent).join('/')
  return { ...rest, rawPath: rawQueryString ? `${path}?${rawQueryString}` : path, rawQueryString: '' }
}
