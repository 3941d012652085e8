//go:build large

package main

import "testing"

// The main job at its full size:
//
//	go test -tags large -run FullSize ./cmd/aml
func TestTheMainJobAtFullSize(t *testing.T) { threeProcesses(t, 256<<20, 200) }
