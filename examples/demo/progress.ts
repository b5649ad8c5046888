const BAR_WIDTH = 30
const REDRAW_MS = 100

export interface Progress {
  done(count: number): void
  /** A line above the bar. */
  say(line: string): void
  end(): void
}

/** A bar on a terminal; elsewhere a line per tenth. */
export function createProgress(total: number, out: NodeJS.WriteStream): Progress {
  return out.isTTY ? createBar(total, out) : createTenths(total, out)
}

function createBar(total: number, out: NodeJS.WriteStream): Progress {
  let drawnAt = -Infinity
  let bar = ''
  const clear = (): void => void out.write('\r\u001B[K')
  return {
    done(count) {
      const now = performance.now()
      if (now - drawnAt < REDRAW_MS && count < total) return
      drawnAt = now
      const filled = Math.round((count / total) * BAR_WIDTH)
      bar = `[${'#'.repeat(filled)}${'.'.repeat(BAR_WIDTH - filled)}] ${count} of ${total}`
      clear()
      out.write(bar)
    },
    say(line) {
      clear()
      out.write(`${line}\n${bar}`)
    },
    end: clear,
  }
}

function createTenths(total: number, out: NodeJS.WriteStream): Progress {
  let told = 0
  return {
    done(count) {
      const tenth = Math.floor((count / total) * 10)
      if (tenth === told) return
      told = tenth
      out.write(`${count} of ${total}\n`)
    },
    say: (line) => void out.write(`${line}\n`),
    end: () => undefined,
  }
}
