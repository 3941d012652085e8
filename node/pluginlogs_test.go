package node

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

func TestALogThatIsBegunAnewIsFollowedWithoutALossOrARepeat(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	add := func(text string) {
		t.Helper()
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err == nil {
			_, err = f.WriteString(text)
			f.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	look, ended := make(chan time.Time), make(chan error, 1)
	var mu sync.Mutex
	var got []string
	go func() {
		ended <- followLog(ctx, path, look, func(line string) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, line)
		})
	}()
	step := func(want ...string) {
		t.Helper()
		look <- time.Time{} // it looks
		look <- time.Time{} // it has looked
		mu.Lock()
		defer mu.Unlock()
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	step() // there is none yet
	add("one\ntw")
	step("one")
	add("o\n")
	step("one", "two")
	add("three\n")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	step("one", "two", "three") // in between there is none
	add("four\n")
	step("one", "two", "three", "four")
	cancel()
	if err := <-ended; err != context.Canceled {
		t.Error(err)
	}
}
