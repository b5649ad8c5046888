/** What is said of a broker that is away: each reason once, as dialling again may meet another thing than what ended the connection. */
export interface Absence {
  /** It is away, for this reason; also each time that dialling fails. */
  note(reason: string | undefined): void
  /** It is back, or nobody wants to know any more. */
  end(): void
}

/** A broker that is back sooner is not worth a line: an embedded hub moves whenever its process ends. */
const SHORT_ABSENCE_MS = 1_000

export function createAbsence(say: (reason: string | undefined) => void): Absence {
  let timer: NodeJS.Timeout | undefined
  /** Undefined: it is not away for long. */
  let said: Set<string | undefined> | undefined

  function sayOnce(reason: string | undefined): void {
    said ??= new Set()
    if (said.has(reason)) return
    said.add(reason)
    say(reason)
  }

  return {
    note(reason) {
      if (said !== undefined) sayOnce(reason)
      else timer ??= setTimeout(sayOnce, SHORT_ABSENCE_MS, reason).unref()
    },
    end() {
      clearTimeout(timer)
      timer = undefined
      said = undefined
    },
  }
}
