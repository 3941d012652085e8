package node

import "testing"

func everything(string) bool { return true }

// A peer can make events faster than they are read: what serves goes on, and
// only a stream of which nothing may be missing ends.
func TestAWatcherThatLagsNeverHoldsUpTheNodeNorEndsWhatServes(t *testing.T) {
	var b bus
	strict, stopStrict := b.watch(everything)
	lossy, stopLossy := b.lookOn(everything)
	defer stopStrict()
	defer stopLossy()
	const more = busBuffer + 10
	for i := range more {
		b.send("x", i)
	}
	read := 0
	for range strict { // ends because it was closed
		read++
	}
	if read != busBuffer {
		t.Errorf("the strict watcher read %d events before its end, want %d", read, busBuffer)
	}
	for range busBuffer {
		<-lossy
	}
	b.send("x", "later")
	if got := <-lossy; got != "later" {
		t.Errorf("after lagging the onlooker hears %v", got)
	}
}

func TestAWatcherHearsOnlyWhatItWants(t *testing.T) {
	var b bus
	events, stop := b.watch(func(about string) bool { return about == "a" })
	b.send("b", 1)
	b.send("a", 2)
	if got := <-events; got != 2 {
		t.Errorf("got %v", got)
	}
	stop()
	b.send("a", 3)
	if len(events) != 0 {
		t.Error("an event came after the end")
	}
}
