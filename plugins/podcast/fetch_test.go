package podcast

import (
	"testing"
	"time"
)

// A server that sends a byte now and then keeps no poll busy for ever.
func TestAServerThatHardlySendsAnythingIsGivenUp(t *testing.T) {
	for _, test := range []struct {
		bytes int64
		after time.Duration
		want  bool
	}{
		{24, 10 * time.Minute, false}, // it may have just begun to stall
		{25, 10*time.Minute + time.Second, true},
		{600 << 10, 10*time.Minute + time.Second, true},
		{601 << 10, 10*time.Minute + time.Second, false},
		{4 << 30, 40 * 24 * time.Hour, false}, // the largest file, slowly
		{3 << 30, 40 * 24 * time.Hour, true},
	} {
		if got := tooSlow(test.bytes, test.after); got != test.want {
			t.Errorf("%d bytes after %v: %v", test.bytes, test.after, got)
		}
	}
}
