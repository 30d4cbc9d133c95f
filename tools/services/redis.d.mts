export type Reply = string | number | null | Error | Reply[]

export interface RedisServer {
  readonly url: string
  readonly port: number
  /** Whether it was started and neither killed nor stopped since. */
  readonly isRunning: boolean
  /** Ends it at once, by SIGKILL. */
  kill(): Promise<void>
  /** After `kill`: on the same port with the same folder. */
  start(): Promise<void>
  /** Stops and starts again, on the same port with the same folder. */
  restart(): Promise<void>
  stop(): Promise<void>
}

export interface RedisCluster {
  readonly urls: readonly string[]
  /** Masters first; replica i follows node i % masters. They may change roles when one is killed. */
  readonly nodes: readonly RedisServer[]
  kill(index: number): Promise<void>
  /** Which node serves a slot, once all that run agree. */
  ownerOf(slot: number): Promise<number | undefined>
  /**
   * Moves a slot with its keys from one master to another; done when every node that runs knows. `whileMoving` runs when
   * all keys have moved but the slot has not: the old owner then answers with ASK.
   */
  moveSlot(slot: number, from: number, to: number, whileMoving?: () => unknown): Promise<void>
  stop(): Promise<void>
}

/** `isDurable`: what was answered is there after `kill`. `args`: more of the program's arguments. */
export function startRedis(options?: { isDurable?: boolean; isSentinel?: boolean; args?: readonly (string | number)[]; port?: number }): Promise<RedisServer>

/** `replicas`: of each master. `nodeTimeoutMs`: how long a silent node is waited for before it counts as lost. */
export function startRedisCluster(options?: { masters?: number; replicas?: number; isDurable?: boolean; nodeTimeoutMs?: number; args?: readonly (string | number)[] }): Promise<RedisCluster>

/** One command over a connection of its own. An error of the server rejects with its text. */
export function command(port: number, ...args: readonly (string | number | Buffer)[]): Promise<Reply>
