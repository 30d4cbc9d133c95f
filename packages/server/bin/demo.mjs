#!/usr/bin/env node
// The demo: what `npm start` runs. Everything it needs is in this package; nothing leaves the machine.
import { serve } from '../dist/index.js'

process.env.TOLLGATE_DEMO ??= '1'
await serve()
