import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

export type TcpProxy = Awaited<ReturnType<typeof startTcpProxy>>

type Weather = 'pass' | 'hold' | 'reset next' | 'reset' | { delayMs: number } | { cutAfterBytes: number }

interface Pair {
  client: Socket
  server: Socket
}

/** A wire to a server on loopback that a test can cut, hold or slow down. */
export async function startTcpProxy(targetPort: number) {
  const pairs = new Set<Pair>()
  let weather: Weather = 'pass'
  const listener = createServer((client) => {
    if (weather === 'reset') return void client.resetAndDestroy()
    const pair = { client, server: connect(targetPort, '127.0.0.1') }
    pairs.add(pair)
    const toServer = carry(pair, pair.server)
    const toClient = carry(pair, client)
    client.on('data', (bytes) => {
      if (weather === 'reset next') {
        weather = 'pass'
        client.resetAndDestroy()
      } else if (weather !== 'hold') toServer.send(bytes)
    })
    pair.server.on('data', (bytes) => {
      if (weather !== 'hold') toClient.send(bytes)
    })
    for (const socket of [client, pair.server]) socket.on('error', () => {}).on('close', end)

    /** What a client has sent before it went away still arrives. */
    async function end(): Promise<void> {
      pairs.delete(pair)
      client.destroy()
      await toServer.sent()
      pair.server.destroy()
    }
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')

  /** Bytes in one direction, in order. */
  function carry(pair: Pair, to: Socket) {
    let carried = 0
    let underWay = Promise.resolve()
    let waiting = 0
    return {
      sent: () => underWay,
      send(bytes: Buffer): void {
        if (typeof weather === 'object' && 'cutAfterBytes' in weather) {
          carried += bytes.length
          if (carried > weather.cutAfterBytes) return void resetPair(pair)
        }
        const delayMs = typeof weather === 'object' && 'delayMs' in weather ? weather.delayMs : 0
        if (delayMs === 0 && waiting === 0) return void to.write(bytes)
        const due = performance.now() + delayMs
        waiting++
        underWay = underWay.then(async () => {
          await sleep(Math.max(0, due - performance.now()))
          waiting--
          to.write(bytes)
        })
      },
    }
  }

  function resetPair({ client, server }: Pair): void {
    client.resetAndDestroy()
    server.resetAndDestroy()
  }

  return {
    port: (listener.address() as AddressInfo).port,
    /** The next bytes from a client are answered by a reset, as by a router that has forgotten the connection. */
    resetNext(): void {
      weather = 'reset next'
    },
    /** Bytes are dropped, and connections stay: the server seems to hang. */
    hold(): void {
      weather = 'hold'
    },
    /** Every connection is reset, new ones at once: the server seems to be down. */
    reset(): void {
      weather = 'reset'
      for (const pair of pairs) resetPair(pair)
    },
    delay(delayMs: number): void {
      weather = { delayMs }
    },
    /** Every connection is reset when more than so many bytes have gone one way: in the middle of something. */
    cutAfter(cutAfterBytes: number): void {
      weather = { cutAfterBytes }
    },
    pass(): void {
      weather = 'pass'
    },
    async close(): Promise<void> {
      for (const { client, server } of pairs) {
        client.destroy()
        server.destroy()
      }
      listener.close()
      await once(listener, 'close')
    },
  }
}
