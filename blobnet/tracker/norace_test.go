//go:build !race

package tracker

const underRace = false
