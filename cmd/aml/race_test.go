//go:build race

package main

// underRace says that the race detector watches, which makes everything some ten times
// as slow.
const underRace = true
