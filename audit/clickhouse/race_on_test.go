//go:build race

package clickhouse

// raceDetector says that the race detector is on.
const raceDetector = true
