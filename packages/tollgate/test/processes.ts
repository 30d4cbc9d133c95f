import { type ChildProcess, fork } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { onTestFinished } from 'vitest'

if (!existsSync(path.join(import.meta.dirname, '../dist/index.js'))) throw new Error('these tests run built code in processes of their own: npm run build')

/** A program beside this file in a process of its own, which ends with the test. It talks by messages. */
export class Process<Message> {
  readonly #child: ChildProcess
  readonly #messages: Message[] = []
  readonly #exit: Promise<void>
  #errors = ''
  #onMessage = () => {}

  constructor(script: string, config: object) {
    this.#child = fork(path.join(import.meta.dirname, script), [JSON.stringify(config)], { execArgv: [], stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
    onTestFinished(() => this.kill())
    this.#child.stderr!.on('data', (text) => (this.#errors += String(text)))
    this.#child.on('message', (message) => {
      this.#messages.push(message as Message)
      this.#onMessage()
    })
    this.#exit = new Promise((resolve) => {
      this.#child.once('close', () => {
        resolve()
        this.#onMessage()
      })
    })
  }

  send(message: Message): void {
    this.#child.send(message as object)
  }

  /** The next message that it sends, or has sent. */
  async next(): Promise<Message> {
    while (this.#messages.length === 0) {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) throw new Error(`the process ended with ${this.#child.exitCode ?? this.#child.signalCode}: ${this.#errors}`)
      await new Promise<void>((resolve) => (this.#onMessage = resolve))
    }
    return this.#messages.shift()!
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#exit
  }
}
