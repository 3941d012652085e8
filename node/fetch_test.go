package node

import "testing"

// What is under way when a fetch is killed comes twice.
func TestOfFilesFrom256MiBOnLessThanOneHundredthIsUnderWay(t *testing.T) {
	const blob = 1<<20 + 16
	for _, size := range []uint64{256 << 20, 300 << 20, 1 << 30, 1 << 40} {
		if n := leastOutstanding(size); uint64(n) > size/100 || n < 2*blob || n > 32<<20 {
			t.Errorf("%d bytes of %d", n, size)
		}
	}
	for _, size := range []uint64{0, 1, 1 << 20, 100 << 20} {
		if n := leastOutstanding(size); n < 2*blob || n > 8<<20 {
			t.Errorf("%d bytes of %d", n, size)
		}
	}
}
