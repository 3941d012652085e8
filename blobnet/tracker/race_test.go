//go:build race

package tracker

// underRace says that the race detector watches, which makes everything some ten times
// as slow.
const underRace = true
