package publisher

import "testing"

func TestMediaTypeComesFromTheExtensionThenFromTheContent(t *testing.T) {
	long := make([]byte, headSize)
	for i := range long {
		long[i] = 'a'
	}
	cut := append([]byte{}, long...)
	cut[headSize-1] = 0xc3 // the first byte of a rune that goes on
	bad := append([]byte{}, long...)
	bad[100] = 0xff
	for _, test := range []struct{ name, head, want string }{
		{"a.MP3", "anything", "audio/mpeg"},
		{"a.tar.gz", "", "application/gzip"},
		{"a.unknown", "%PDF-1.7", "application/pdf"},
		{"a", "OggS....", "audio/ogg"},
		{"a", "RIFF0000WAVE", "audio/wav"},
		{"a", "0000ftypisom", "video/mp4"},
		{"a", "héllo\n", "text/plain; charset=utf-8"},
		{"a", string(cut), "text/plain; charset=utf-8"},
		{"a", string(bad), "application/octet-stream"},
		{"a", "zero\x00byte", "application/octet-stream"},
		{"a", "", "application/octet-stream"},
		{".gitignore", "", "application/octet-stream"},
	} {
		if got := mediaType(test.name, []byte(test.head)); got != test.want {
			t.Errorf("%s %.8q: %s, want %s", test.name, test.head, got, test.want)
		}
	}
	for ext, media := range types {
		if typeByName("x."+ext) != media || len(media) > 128 {
			t.Errorf("%s: %s", ext, media)
		}
	}
	for _, m := range magics {
		if len(m.media) > len(longestMedia) {
			t.Errorf("%s is longer than what is foreseen", m.media)
		}
	}
}
