/**
 * Time zones: how far local clocks are from UTC, and when they first show a given local time.
 * A local time is written as the instant at which a clock in UTC would show it.
 */
const DAY_MS = 86_400_000

/**
 * Offsets are learnt four days at a time, looking one day over either end. So that at most one change falls into
 * those six days: the closest two of any zone since 1970 are 7 days less an hour apart (Recife in 2000, Gaza in 2040).
 */
const STRETCH_MS = 4 * DAY_MS
const MARGIN_MS = DAY_MS

/** A power of two. 1,024 stretches are eleven years, which holds the anchors of most products. */
const SLOTS = 1_024
/** A formatter takes about 30 kB; a product that uses more zones than this makes some of them again (0.2 ms). */
const MAX_ZONES = 100

export interface Zone {
  /** Local time minus UTC. */
  offsetMsAt(at: number): number
  /**
   * The first instant at which local clocks show `local` or later: of a time that is repeated the earlier,
   * of one that is skipped the first instant after the gap. Never decreases as `local` grows.
   */
  firstInstantOf(local: number): number
}

/** A stretch of time in which the offset changes once, at `changesAt`, or never (Infinity). */
interface Stretch {
  readonly index: number
  readonly beforeMs: number
  readonly changesAt: number
  readonly afterMs: number
}

export const UTC: Zone = { offsetMsAt: () => 0, firstInstantOf: (local) => local }

const zones = new Map<string, Zone>()

/** The zone with this IANA name, or undefined when there is none. */
export function zoneNamed(name: string): Zone | undefined {
  const known = zones.get(name)
  if (known !== undefined) return known
  const format = offsetFormat(name)
  if (format === undefined) return undefined
  const zone = format.resolvedOptions().timeZone === 'UTC' ? UTC : createZone(format)
  if (zones.size >= MAX_ZONES) zones.clear()
  zones.set(name, zone)
  return zone
}

function offsetFormat(name: string): Intl.DateTimeFormat | undefined {
  // Newer runtimes take '+01:00' for a zone, Node 20 does not: a plan must not depend on that.
  if (!/^[a-z]/i.test(name)) return undefined
  try {
    return new Intl.DateTimeFormat('en-US', { timeZone: name, timeZoneName: 'longOffset' })
  } catch {
    return undefined
  }
}

function createZone(format: Intl.DateTimeFormat): Zone {
  /** Of the stretches that share a slot, the one that was used last. */
  const slots = Array.from<Stretch | undefined>({ length: SLOTS })

  /** Around `time`, an instant or a local time: the margin covers the difference. */
  function stretchAround(time: number): Stretch {
    const index = Math.floor(time / STRETCH_MS)
    const slot = index & (SLOTS - 1)
    const known = slots[slot]
    if (known !== undefined && known.index === index) return known
    const stretch = survey(format, index)
    slots[slot] = stretch
    return stretch
  }

  return {
    offsetMsAt(at) {
      const { beforeMs, changesAt, afterMs } = stretchAround(at)
      return at < changesAt ? beforeMs : afterMs
    },
    firstInstantOf(local) {
      const { beforeMs, changesAt, afterMs } = stretchAround(local)
      return local < changesAt + beforeMs ? local - beforeMs : Math.max(changesAt, local - afterMs)
    },
  }
}

function survey(format: Intl.DateTimeFormat, index: number): Stretch {
  const fromAt = index * STRETCH_MS - MARGIN_MS
  const toAt = (index + 1) * STRETCH_MS + MARGIN_MS
  const beforeMs = readOffsetMs(format, fromAt)
  const afterMs = readOffsetMs(format, toAt)
  if (beforeMs === afterMs) return { index, beforeMs, changesAt: Infinity, afterMs }
  let lastBeforeAt = fromAt
  let changesAt = toAt
  while (changesAt - lastBeforeAt > 1) {
    const middleAt = Math.floor((lastBeforeAt + changesAt) / 2)
    if (readOffsetMs(format, middleAt) === beforeMs) lastBeforeAt = middleAt
    else changesAt = middleAt
  }
  return { index, beforeMs, changesAt, afterMs }
}

/** Reads '1/7/1972, GMT-00:44:30': old offsets have seconds. */
function readOffsetMs(format: Intl.DateTimeFormat, at: number): number {
  const text = format.format(at)
  const match = /GMT(?:([+-])(\d\d):(\d\d)(?::(\d\d))?)?$/.exec(text)
  if (match === null) throw new Error(`This runtime writes a UTC offset as '${text}', which Tollgate cannot read`)
  const [, sign, hours = 0, minutes = 0, seconds = 0] = match
  const offsetMs = (Number(hours) * 3_600 + Number(minutes) * 60 + Number(seconds)) * 1_000
  return sign === '-' ? -offsetMs : offsetMs
}
