import type { APIGatewayProxyEventV2 } from 'aws-lambda'

/**
 * The event with its path and its query as the client sent them. An HTTP API decodes the path, so it is encoded again; a
 * function URL leaves it as it was. Of the query only `rawQueryString` tells a comma from a parameter given twice.
 * What an HTTP API loses cannot be brought back: it cuts the path at an encoded `?`. A backslash is encoded, and the slash
 * before a segment of one or two dots, since such a path would else be resolved to another before it is looked at.
 */
export function asSent(event: APIGatewayProxyEventV2): APIGatewayProxyEventV2 {
  const { rawPath, rawQueryString, queryStringParameters: _, ...rest } = event
  const isFunctionUrl = /\.lambda-url\.[\w-]+\.on\.aws$/.test(event.requestContext.domainName)
  const encoded = isFunctionUrl ? rawPath.replaceAll('\\', '%5C') : rawPath.split('/').map(encodeURIComponent).join('/')
  const path = encoded.replaceAll(/\/(?=(\.|%2e){1,2}(\/|$))/gi, '%2F')
  return { ...rest, rawPath: rawQueryString ? `${path}?${rawQueryString}` : path, rawQueryString: '' }
}
