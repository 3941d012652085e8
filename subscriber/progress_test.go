package subscriber_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/subscriber"
)

func TestALargeFilesProgressIsToldNowAndThenUntilItIsThere(t *testing.T) {
	w := newWorld(t)
	content := pattern(9<<20, 1)
	w.publish("one", files{"film": content, "small": pattern(1<<20, 2)})
	began := time.Now()
	w.update()
	most := 1 + int(2*time.Since(began).Seconds())
	var progress []subscriber.ProgressEvent
	there := false
	for _, e := range w.take() {
		switch e := e.(type) {
		case subscriber.FileEvent:
			there = there || e.Name == "film"
		case subscriber.ProgressEvent:
			if there {
				t.Errorf("told after the file: %+v", e)
			}
			progress = append(progress, e)
		}
	}
	if len(progress) == 0 || len(progress) > most {
		t.Fatalf("%d times, want 1 to %d", len(progress), most)
	}
	for _, e := range progress {
		if e.Name != "film" || e.Channel != w.id || e.Total != 9<<20 || e.Done == 0 || e.Done > e.Total || e.Local != 0 {
			t.Errorf("%+v", e)
		}
	}
	data, err := json.Marshal(progress[0])
	if want := `{"event":"progress","channel":"` + w.id.String() + `","name":"film","done":`; err != nil || !strings.HasPrefix(string(data), want) {
		t.Errorf("%s, want %s, %v", data, want, err)
	}
}

func TestAFileOfLessThan8MiBComesWithoutProgress(t *testing.T) {
	w := newWorld(t)
	w.publish("one", files{"a": pattern(8<<20-1, 1)})
	w.update()
	for _, e := range w.take() {
		if p, ok := e.(subscriber.ProgressEvent); ok {
			t.Errorf("%+v", p)
		}
	}
}

func TestAnErrorEventSaysThatItWillNotBeTriedAgain(t *testing.T) {
	data, err := json.Marshal(subscriber.ErrorEvent{Event: "error", Name: "a"})
	if err != nil || !strings.Contains(string(data), `"retry":false`) {
		t.Errorf("%s, %v", data, err)
	}
}
