package diskstore

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// A store with a million small blobs. Run with
//
//	go test ./blobnet/diskstore -run '^$' -bench Million -benchtime 1x -timeout 30m
//
// AML_BENCH_BLOBS is another number of blobs, AML_BENCH_DIR another place than
// the folder for temporary files.

const (
	millionVariable = "AML_TEST_DISKSTORE_MILLION" // the folder: this process fills it, and waits to be killed
	countVariable   = "AML_BENCH_BLOBS"
)

func millionCount() int {
	if n, err := strconv.Atoi(os.Getenv(countVariable)); err == nil {
		return n
	}
	return 1_000_000
}

const smallBlob = 256 // bytes

func millionth(n int, blob []byte) blobnet.ID {
	binary.LittleEndian.PutUint64(blob, uint64(n))
	return blobnet.Sum(blob)
}

func millionBlobs(first, count int, fn func(id blobnet.ID, blob []byte) error) error {
	var next atomic.Int64
	var workers sync.WaitGroup
	errs := make(chan error, 8)
	for range 8 {
		workers.Go(func() {
			blob := make([]byte, smallBlob)
			for {
				n := int(next.Add(1)) - 1
				if n >= count {
					return
				}
				if err := fn(millionth(first+n, blob), blob); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	workers.Wait()
	close(errs)
	return <-errs
}

// fillMillion is the process that is killed.
func fillMillion(dir string) {
	s, err := Open(Config{Dir: dir, MinFree: -1})
	if err == nil {
		err = millionBlobs(0, millionCount(), func(id blobnet.ID, blob []byte) error { return s.Put(context.Background(), id, blob) })
	}
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	fmt.Println("done", peakMemory())
	_, _ = os.Stdin.Read(make([]byte, 1))
	os.Exit(1)
}

// peakMemory is the most memory that this process had, in KiB, where the system
// tells.
func peakMemory() (peak int64) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	_, _ = fmt.Sscan(rest, &peak)
	return peak
}

// The floor is a program that writes each blob into a file of its own, in as
// many folders, and has no index, no quota, no order of use, and syncs nothing.
func floorPath(dir string, id blobnet.ID) string {
	hex := id.String()
	return filepath.Join(dir, hex[:2], hex)
}

func floorMillion(dir string, count int) error {
	for n := range 256 {
		if err := os.MkdirAll(filepath.Join(dir, fmt.Sprintf("%02x", n)), 0o777); err != nil {
			return err
		}
	}
	return millionBlobs(0, count, func(id blobnet.ID, blob []byte) error {
		path := floorPath(dir, id)
		if err := os.WriteFile(path+".part", blob, 0o666); err != nil {
			return err
		}
		return os.Rename(path+".part", path)
	})
}

func BenchmarkMillion(b *testing.B) {
	for range b.N {
		benchmarkMillion(b)
	}
}

func benchmarkMillion(b *testing.B) {
	count := millionCount()
	dir, err := os.MkdirTemp(os.Getenv("AML_BENCH_DIR"), "million")
	must(b, err)
	defer os.RemoveAll(dir) // as well as it goes
	ctx := b.Context()
	clock := time.Now()
	rates := map[string]float64{}
	lap := func(name string, ops int) {
		d := time.Since(clock)
		rates[name] = float64(ops) / d.Seconds()
		if ops > 0 {
			b.ReportMetric(float64(ops)/d.Seconds(), name+"/s")
		} else {
			b.ReportMetric(d.Seconds(), "s-"+name)
		}
		b.Logf("%s: %v", name, d.Round(time.Millisecond))
		clock = time.Now()
	}

	exe, err := os.Executable()
	must(b, err)
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), millionVariable+"="+dir)
	stdin, err := cmd.StdinPipe()
	must(b, err)
	stdout, err := cmd.StdoutPipe()
	must(b, err)
	must(b, cmd.Start())
	var word string
	var peak int64
	if n, err := fmt.Fscan(stdout, &word, &peak); n != 2 || word != "done" {
		b.Fatalf("the filling process says %q (%v)", word, err)
	}
	lap("put", count)
	b.ReportMetric(float64(peak)/1024, "MiB-put-peak")
	must(b, cmd.Process.Kill())
	_ = cmd.Wait() // it was killed
	stdin.Close()

	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	clock = time.Now()
	s, err := Open(Config{Dir: dir, MinFree: -1})
	must(b, err)
	lap("start-after-kill", 0)
	r := s.Recovery()
	b.Logf("recovery: %+v", r)
	b.ReportMetric(float64(r.Verified), "files-read-after-kill")
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB-heap-open")

	clock = time.Now()
	must(b, millionBlobs(count/2, count, func(id blobnet.ID, _ []byte) error { _, err := s.Has(ctx, id); return err }))
	lap("has", count)
	must(b, millionBlobs(0, count/10, func(id blobnet.ID, _ []byte) error { _, err := s.Get(ctx, id, nil); return err }))
	lap("get", count/10)
	var ids []blobnet.ID
	blob := make([]byte, smallBlob)
	for n := range count / 10 {
		ids = append(ids, millionth(n, blob))
	}
	for at := 0; at < len(ids); at += 1000 {
		must(b, s.Pin(ctx, ids[at:min(at+1000, len(ids))]...))
	}
	lap("pin-1000-at-a-time", len(ids))
	must(b, s.List(ctx, func(blobnet.Info) error { return nil }))
	lap("list", count)
	// A quota that is a tenth too small, so that Puts evict.
	must(b, s.SetLimits(ctx, Limits{MaxSize: int64(count) * smallBlob, MinFree: -1}))
	must(b, millionBlobs(count, count/10, func(id blobnet.ID, blob []byte) error { return s.Put(ctx, id, blob) }))
	lap("put-and-evict", count/10)
	res, err := s.GC(ctx, GCConfig{Target: int64(count) * smallBlob * 8 / 10})
	must(b, err)
	lap("gc-evict", int(res.Blobs))
	must(b, s.Sync(ctx))
	lap("sync", 0)
	must(b, s.Close())
	lap("close", 0)
	s, err = Open(Config{Dir: dir, MinFree: -1})
	must(b, err)
	lap("start-clean", 0)
	_, err = s.Scrub(ctx, ScrubConfig{BytesPerSecond: -1})
	must(b, err)
	lap("scrub", count*8/10)
	floor := filepath.Join(dir, "floor")
	clock = time.Now()
	must(b, floorMillion(floor, count/10))
	lap("floor-put", count/10)
	must(b, millionBlobs(0, count/10, func(id blobnet.ID, _ []byte) error { _, err := os.Stat(floorPath(floor, id)); return err }))
	lap("floor-has", count/10)
	must(b, millionBlobs(0, count/10, func(id blobnet.ID, _ []byte) error {
		data, err := os.ReadFile(floorPath(floor, id))
		if err == nil && blobnet.Sum(data) != id {
			err = blobnet.ErrCorrupt
		}
		return err
	}))
	lap("floor-get", count/10)
	must(b, millionBlobs(0, count/10, func(id blobnet.ID, _ []byte) error { return os.Remove(floorPath(floor, id)) }))
	lap("floor-evict", count/10)
	for ours, least := range map[string]string{"put": "floor-put", "has": "floor-has", "get": "floor-get", "gc-evict": "floor-evict"} {
		b.ReportMetric(rates[least]/rates[ours], ours+"-x-floor")
	}
	fi, err := os.Stat(s.tree.index())
	must(b, err)
	b.ReportMetric(float64(fi.Size())/(1<<20), "MiB-index")
	must(b, s.Close())
	b.ReportMetric(0, "ns/op")
}
