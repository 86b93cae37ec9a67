/** A plain HTTP client: one GET, one answer. */
import { get as httpGet } from 'node:http'
import { formatAddress, withoutZone, type Target } from '../shared/address.ts'
import { ClientError, explain, timedOut } from './client-error.ts'

const MAX_ANSWER_BYTES = 1_048_576

/** Resolves to any status. Rejects with a ClientError. */
export function get (target: Target, path: string, timeoutMs: number): Promise<{ status: number, body: string }> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => reject(explain(error, 'cannot connect to', target))
    // Headers are ASCII.
    const host = encodeURI(withoutZone(target.host))
    const request = httpGet({ ...target, path, agent: false, headers: { accept: 'application/json', host: formatAddress(host, target.port) } }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('error', fail)
      response.on('data', (chunk: string) => {
        body += chunk
        if (body.length > MAX_ANSWER_BYTES) request.destroy(new ClientError('ERR_ANSWER_TOO_LARGE', `the answer to ${path} is larger than 1 MiB`))
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
    })
    request.setTimeout(timeoutMs, () => request.destroy(timedOut(target, timeoutMs)))
    request.on('error', fail)
  })
}
