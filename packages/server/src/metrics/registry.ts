/** Counters, gauges and histograms in Prometheus' text format, version 0.0.4. */

/** A label that a client could invent must not fill the memory: what comes after so many series is counted as `other`. */
const MAX_SERIES = 2000

export const METRICS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

interface Metric {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  lines(): string[]
}

export class Registry {
  readonly #metrics: Metric[] = []

  counter(name: string, help: string, labels: readonly string[]): Counter {
    return this.#add(new Counter(name, help, labels))
  }

  histogram(name: string, help: string, labels: readonly string[], bounds: readonly number[]): Histogram {
    return this.#add(new Histogram(name, help, labels, bounds))
  }

  /** Read when it is asked for. */
  gauge(name: string, help: string, read: () => number): void {
    this.#add({ name, help, type: 'gauge', lines: () => [`${name} ${read()}`] })
  }

  text(): string {
    return this.#metrics.map(({ name, help, type, lines }, i) => [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...lines.call(this.#metrics[i])].join('\n')).join('\n') + '\n'
  }

  #add<M extends Metric>(metric: M): M {
    this.#metrics.push(metric)
    return metric
  }
}

export class Counter implements Metric {
  readonly type = 'counter'
  readonly name: string
  readonly help: string
  readonly #series: Series<{ count: number }>

  constructor(name: string, help: string, labels: readonly string[]) {
    this.name = name
    this.help = help
    this.#series = new Series(labels, () => ({ count: 0 }))
  }

  add(values: readonly string[], amount = 1): void {
    this.#series.of(values).count += amount
  }

  lines(): string[] {
    return this.#series.entries().map(([labels, { count }]) => `${this.name}${braced(labels)} ${count}`)
  }
}

export class Histogram implements Metric {
  readonly type = 'histogram'
  readonly name: string
  readonly help: string
  readonly #bounds: readonly number[]
  readonly #series: Series<{ buckets: number[]; sum: number; count: number }>

  constructor(name: string, help: string, labels: readonly string[], bounds: readonly number[]) {
    this.name = name
    this.help = help
    this.#bounds = bounds
    this.#series = new Series(labels, () => ({ buckets: bounds.map(() => 0), sum: 0, count: 0 }))
  }

  observe(values: readonly string[], value: number): void {
    const series = this.#series.of(values)
    series.sum += value
    series.count++
    const bucket = this.#bounds.findIndex((bound) => value <= bound)
    if (bucket >= 0) series.buckets[bucket]!++
  }

  lines(): string[] {
    return this.#series.entries().flatMap(([labels, { buckets, sum, count }]) => {
      let below = 0
      const cumulative = buckets.map((n, i) => `${this.name}_bucket${braced(labels, `le="${this.#bounds[i]}"`)} ${(below += n)}`)
      return [...cumulative, `${this.name}_bucket${braced(labels, 'le="+Inf"')} ${count}`, `${this.name}_sum${braced(labels)} ${sum}`, `${this.name}_count${braced(labels)} ${count}`]
    })
  }
}

/** The values of one metric by their labels. */
class Series<V> {
  readonly #labels: readonly string[]
  readonly #make: () => V
  readonly #byText = new Map<string, V>()

  constructor(labels: readonly string[], make: () => V) {
    this.#labels = labels
    this.#make = make
  }

  of(values: readonly string[]): V {
    const known = this.#byText.get(this.#textOf(values))
    if (known) return known
    const text = this.#textOf(this.#byText.size < MAX_SERIES ? values : values.map(() => 'other'))
    const made = this.#byText.get(text) ?? this.#make()
    this.#byText.set(text, made)
    return made
  }

  entries(): [string, V][] {
    return [...this.#byText]
  }

  #textOf(values: readonly string[]): string {
    return this.#labels.map((label, i) => `${label}="${escaped(values[i]!)}"`).join(',')
  }
}

const escaped = (value: string) => value.replace(/[\\"\n]/g, (char) => (char === '\n' ? '\\n' : `\\${char}`))

function braced(...parts: string[]): string {
  const text = parts.filter(Boolean).join(',')
  return text && `{${text}}`
}
