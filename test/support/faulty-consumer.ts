import type { Delivery, Subscription } from '../../broker-adapters/adapter.ts'
import type { SeamEvent } from './seam-events.ts'
import type { FaultParts } from './faulty-adapter.ts'

export interface FaultyConsumer {
  readonly subscription: Subscription
  open(): Promise<void>
  /** The wire is mended: hands over what came meanwhile. */
  letIn(): void
  /** What is held is lost at once here and given back to the broker. */
  lose(): void
  /** The broker forgets it; what it holds stays held. */
  mute(): void
  redeliver(id: string): void
}

interface FaultyConsumerParts extends FaultParts {
  readonly onDelivery: (delivery: Delivery) => void
  /** Messages are ready in its queue. */
  readonly isWaitedFor: () => Promise<boolean>
}

interface HeldDelivery extends Delivery {
  /** Tells the holder that it is lost; the broker's own delivery stays as it is. */
  takeAway(): void
}

export function createFaultyConsumer(
  consume: (receive: (delivery: Delivery) => void) => Promise<Subscription>,
  { events, plans, isUp, onDelivery, isWaitedFor }: FaultyConsumerParts,
  onStopped: () => void,
): FaultyConsumer {
  const held = new Map<Delivery, HeldDelivery>()
  /** Handed over while the wire was cut. */
  const strays: Delivery[] = []
  let inner: Subscription | undefined
  let opening: Promise<void> = Promise.resolve()
  let closing: Promise<void> = Promise.resolve()
  let isPaused = false
  let isStopped = false
  let isMute = false

  return {
    subscription: {
      async pause() {
        isPaused = true
        await inner?.pause()
      },
      resume() {
        isPaused = false
        inner?.resume()
      },
      isQueuePaused: async () => (await inner?.isQueuePaused()) ?? false,
      isStarved: async () => (isMute ? isWaitedFor() : ((await inner?.isStarved()) ?? false)),
      async stop() {
        events.add({ kind: 'stopConsuming', id: '' })
        isStopped = true
        onStopped()
        await inner?.stop()
      },
    },
    async open() {
      await closing
      if (isStopped || isMute || inner !== undefined) return
      opening = consume(receive).then(async (opened) => {
        inner = opened
        if (isPaused) await opened.pause()
      })
      await opening
    },
    mute() {
      isMute = true
      void inner?.stop()
    },
    letIn() {
      for (const real of strays.splice(0)) hand(real, 0)
    },
    lose() {
      const lost = [...held]
      held.clear()
      for (const [, delivery] of lost) delivery.takeAway()
      leave(lost.map(([real]) => real))
    },
    redeliver(id) {
      const found = [...held].find(([real]) => real.message.id === id)
      if (found !== undefined) handAgain(...found)
    },
  }

  function receive(real: Delivery): void {
    if (isUp()) hand(real, 0)
    else strays.push(real)
  }

  /** The broker's own consumer ends; then what it was given goes back, once, in order. */
  function leave(lost: readonly Delivery[]): void {
    const before = closing
    closing = (async () => {
      await before
      await opening
      await inner?.stop()
      inner = undefined
      for (const real of [...lost, ...strays.splice(0)].toReversed()) real.release()
    })()
  }

  function handAgain(real: Delivery, delivery: HeldDelivery): void {
    delivery.takeAway()
    held.delete(real)
    hand(real, 1)
  }

  function hand(real: Delivery, timesTaken: number): void {
    const { message } = real
    let isTaken = false
    let listener: (() => void) | undefined
    const number = ++handed
    const delivery: HeldDelivery = {
      message,
      redelivered: real.redelivered || timesTaken > 0,
      handBacks: real.handBacks === undefined ? undefined : real.handBacks + timesTaken,
      fence: real.fence,
      get isLost() {
        return isTaken || real.isLost
      },
      onLost(given) {
        listener = given
        if (isTaken) given()
        else real.onLost(() => isTaken || given())
      },
      takeAway() {
        isTaken = true
        listener?.()
      },
      ack() {
        if (!settle('ack')) return
        if (plans.ack?.(message) === 'lost') {
          held.set(real, delivery)
          setImmediate(() => handAgain(real, delivery))
        } else real.ack()
      },
      async retry(options) {
        if (settle('retry', options.headers)) await real.retry(options)
      },
      async deadLetter(why) {
        if (settle('deadLetter', { code: why.code, reason: why.reason })) await real.deadLetter(why)
      },
      release() {
        if (settle('release')) real.release()
      },
    }
    held.set(real, delivery)
    events.add({ kind: 'delivery', id: message.id, delivery: number, headers: message.headers })
    onDelivery(delivery)

    /** Every settlement is noted, a second one too; only what is still ours reaches the broker. */
    function settle(kind: SeamEvent['kind'], headers?: Readonly<Record<string, string>>): boolean {
      events.add({ kind, id: message.id, delivery: number, headers, detail: isTaken ? 'lost' : undefined })
      held.delete(real)
      return !isTaken
    }
  }
}

let handed = 0
