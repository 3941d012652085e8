package podcast

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/plugins/sdk"
)

// wav is a second of silence for each n.
func wav(n int) []byte {
	b := []byte("RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00")
	b = binary.LittleEndian.AppendUint32(b, 8000)
	b = binary.LittleEndian.AppendUint32(b, 8000)
	b = append(b, "\x01\x00\x08\x00data"...)
	b = binary.LittleEndian.AppendUint32(b, uint32(8000*n))
	return append(b, make([]byte, 8000*n)...)
}

// id3 is an MP3 with tags and a picture.
func id3(title string) []byte {
	frame := func(id, body string) string {
		return id + string(binary.BigEndian.AppendUint32(nil, uint32(len(body)))) + "\x00\x00" + body
	}
	tags := frame("TIT2", "\x03"+title) + frame("TPE1", "\x03Somebody") + frame("TRCK", "\x037") + frame("APIC", "\x00image/png\x00\x03\x00\x89PNG picture")
	size := len(tags)
	return []byte("ID3\x03\x00\x00" + string([]byte{byte(size >> 21 & 0x7f), byte(size >> 14 & 0x7f), byte(size >> 7 & 0x7f), byte(size & 0x7f)}) + tags + "\xff\xfb\x90\x00" + strings.Repeat("\x00", 16000))
}

func TestAFolderOfAudioFilesIsAPodcast(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, data []byte, age time.Duration) {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(-age)
		if err := errors.Join(os.WriteFile(file, data, 0o600), os.Chtimes(file, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	write("season 1/one.wav", wav(3), 3*time.Hour)
	write("two.mp3", id3("The second"), 2*time.Hour)
	write("two.chapters.json", []byte(`{"chapters":[]}`), 2*time.Hour)
	write("broken.flac", []byte("fLaC"), time.Hour)
	write("being-written.mp3", id3("x"), 0)
	write(".hidden.mp3", id3("x"), time.Hour)
	write("notes.txt", []byte("x"), time.Hour)
	p := configured(t, nil)
	items, cursor := poll(t, p, dir, nil)
	if len(items) != 3 || items[0].Title != "one" || items[0].Metadata["duration"] != "3" || items[0].Id != "file:season 1/one.wav" {
		t.Fatalf("got %v", items)
	}
	two := items[1]
	if two.Title != "The second" || two.Metadata["author"] != "Somebody" || two.Metadata["episode"] != "7" || two.Metadata["duration"] != "1" || len(two.Files) != 3 {
		t.Errorf("got %v", two)
	}
	read := func(f *sdk.ItemFile, offset int64) string {
		r, err := p.Open(context.Background(), f.Handle, offset)
		if err != nil {
			return err.Error()
		}
		defer r.Close()
		text, err := io.ReadAll(r)
		if err != nil {
			t.Error(err)
		}
		return string(text)
	}
	if got := read(two.Files[0], 3); got != string(id3("The second")[3:]) {
		t.Errorf("the file has %d bytes", len(got))
	}
	if got := read(two.Files[1], 0); got != "\x89PNG picture" || !strings.HasSuffix(two.Files[1].Name, ".png") {
		t.Errorf("the picture %q is %q", two.Files[1].Name, got)
	}
	if got := read(two.Files[2], 0); got != `{"chapters":[]}` {
		t.Errorf("the chapters are %q", got)
	}
	if again, _ := poll(t, p, dir, cursor); len(again) != 0 {
		t.Errorf("again: %v", again)
	}
	write("two.mp3", id3("Another title"), time.Hour)
	if got := read(two.Files[0], 0); !strings.Contains(got, "changed meanwhile") {
		t.Errorf("a file that was changed: %.80q", got)
	}
	if err := os.Remove(filepath.Join(dir, "season 1", "one.wav")); err != nil {
		t.Fatal(err)
	}
	items, cursor = poll(t, p, dir, cursor)
	if len(items) != 3 || items[1].Title != "Another title" || items[1].Files[0].Name != two.Files[0].Name || items[1].Version == two.Version || !items[2].Removed || items[2].Id != "file:season 1/one.wav" {
		t.Errorf("after the changes: %v", items)
	}
	// A folder that is empty is one that is not mounted.
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := p.Poll(context.Background(), dir, cursor, func(*sdk.Item, []byte) error { t.Error("something comes"); return nil }); err == nil {
			t.Error("a folder that is not there has nothing")
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, from := range []string{"relative", "ftp://example.org/", "~"} {
		if err := p.Poll(context.Background(), from, nil, nil); err == nil {
			t.Errorf("%q was taken", from)
		}
	}
	if _, err := p.Open(context.Background(), handle{From: dir, File: "/etc/passwd"}.String(), 0); err == nil || !strings.Contains(err.Error(), "is not in") {
		t.Errorf("a file elsewhere: %v", err)
	}
}

func TestHowLongAFilePlaysIsInItsFirstBytes(t *testing.T) {
	box := func(kind string, body []byte) []byte {
		return append(binary.BigEndian.AppendUint32(nil, uint32(len(body)+8)), append([]byte(kind), body...)...)
	}
	mvhd := make([]byte, 100)
	binary.BigEndian.PutUint32(mvhd[12:], 1000)
	binary.BigEndian.PutUint32(mvhd[16:], 65_500)
	mp4 := append(box("ftyp", []byte("isom")), append(box("free", make([]byte, 50)), box("moov", box("mvhd", mvhd))...)...)
	flac := make([]byte, 42)
	copy(flac, "fLaC\x00\x00\x00\x22")
	copy(flac[18:], []byte{0x0a, 0xc4, 0x40, 0xf0, 0x00, 0x06, 0xba, 0xa8}) // 44,100 a second, 441,000 of them
	xing := append([]byte("\xff\xfb\x90\x00"+strings.Repeat("\x00", 32)+"Xing\x00\x00\x00\x01"), 0, 0, 0x01, 0x00)
	xing = append(xing, make([]byte, 100)...)
	for name, c := range map[string]struct {
		data []byte
		want time.Duration
	}{
		"wav": {wav(2), 2 * time.Second}, "mp4": {mp4, 65_500 * time.Millisecond}, "flac": {flac, 10 * time.Second},
		"xing": {xing, time.Duration(256*1152) * time.Second / 44100}, "nothing": {[]byte("x"), 0}, "text": {[]byte(strings.Repeat("text ", 100)), 0},
	} {
		if got := duration(strings.NewReader(string(c.data)), int64(len(c.data))); got.Round(time.Millisecond) != c.want.Round(time.Millisecond) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func FuzzAnyFileHasADurationOrNone(f *testing.F) {
	f.Add(wav(1))
	f.Add(id3("x"))
	f.Add([]byte("\x00\x00\x00\x10ftypisom\x00\x00\x00\x00\x00\x00\x00\x01moov\x00\x00\x00\x00\x00\x00\x00\x08"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if d := duration(strings.NewReader(string(data)), int64(len(data))); d < 0 {
			t.Errorf("%v", d)
		}
	})
}
