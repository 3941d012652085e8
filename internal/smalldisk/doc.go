// Package smalldisk gives tests a real disk that fills up: a tmpfs of a bounded size.
// It exists on Linux alone, and mounting takes root: without either a test that asks
// for one is skipped. It must never be imported by what is no test.
package smalldisk
