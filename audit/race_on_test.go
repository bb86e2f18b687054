//go:build race

package audit

// raceDetector says that the race detector is on: sync.Pool then forgets at
// random, and allocations cannot be counted.
const raceDetector = true
