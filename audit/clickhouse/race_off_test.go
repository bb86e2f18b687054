//go:build !race

package clickhouse

// raceDetector says that the race detector is off.
const raceDetector = false
