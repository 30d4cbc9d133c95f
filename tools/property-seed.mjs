// Property tests draw the same cases in every everyday run, so that a failure is the change's and not the day's;
// the long suite draws new ones each time.
import * as fc from 'fast-check'

if (!process.env.TOLLGATE_LONG) fc.configureGlobal({ seed: 20261122 })
