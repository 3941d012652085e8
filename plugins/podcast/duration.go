package podcast

import (
	"encoding/binary"
	"io"
	"time"
)

// maxBoxes bounds how far an MP4 file is looked through.
const maxBoxes = 4096

// duration is how long an audio file plays, as far as its first bytes say; 0: they
// do not. It reads little, whatever the file says.
func duration(f io.ReaderAt, size int64) time.Duration {
	head := make([]byte, 12)
	if n, _ := f.ReadAt(head, 0); n < len(head) {
		return 0
	}
	switch {
	case string(head[:4]) == "fLaC":
		return flacTime(f)
	case string(head[:4]) == "RIFF" && string(head[8:]) == "WAVE":
		return wavTime(f, size)
	case string(head[4:8]) == "ftyp":
		return mp4Time(f, size)
	}
	return mp3Time(f, size)
}

func seconds(n, rate uint64) time.Duration {
	if rate == 0 || n/rate > 1<<24 {
		return 0
	}
	return time.Duration(n/rate)*time.Second + time.Duration(n%rate)*time.Second/time.Duration(rate)
}

// flacTime reads STREAMINFO, which comes first.
func flacTime(f io.ReaderAt) time.Duration {
	b := make([]byte, 18)
	if _, err := f.ReadAt(b, 8); err != nil {
		return 0
	}
	rate := uint64(b[10])<<12 | uint64(b[11])<<4 | uint64(b[12])>>4
	return seconds(uint64(b[13]&0x0f)<<32|uint64(binary.BigEndian.Uint32(b[14:])), rate)
}

func wavTime(f io.ReaderAt, size int64) time.Duration {
	rate := uint64(0)
	for at, n := int64(12), 0; at+8 <= size && n < maxBoxes; n++ {
		b := make([]byte, 20)
		if m, _ := f.ReadAt(b, at); m < 8 {
			return 0
		}
		length := int64(binary.LittleEndian.Uint32(b[4:]))
		switch string(b[:4]) {
		case "fmt ":
			rate = uint64(binary.LittleEndian.Uint32(b[16:]))
		case "data":
			return seconds(uint64(min(length, size-at-8)), rate)
		}
		at += 8 + length + length%2
	}
	return 0
}

// mp4Time looks for moov and mvhd in it.
func mp4Time(f io.ReaderAt, size int64) time.Duration {
	end := size
	for at, n := int64(0), 0; at+8 <= end && n < maxBoxes; n++ {
		b := make([]byte, 16)
		if m, _ := f.ReadAt(b, at); m < 8 {
			return 0
		}
		length, header := int64(binary.BigEndian.Uint32(b)), int64(8)
		if length == 1 {
			length, header = int64(binary.BigEndian.Uint64(b[8:])), 16
		}
		if length == 0 {
			length = end - at
		}
		if length < header || length > end-at {
			return 0
		}
		switch string(b[4:8]) {
		case "moov":
			at, end = at+header, at+length
			continue
		case "mvhd":
			v := make([]byte, 32)
			if _, err := f.ReadAt(v, at+header); err != nil {
				return 0
			}
			if v[0] == 1 {
				return seconds(binary.BigEndian.Uint64(v[24:]), uint64(binary.BigEndian.Uint32(v[20:])))
			}
			return seconds(uint64(binary.BigEndian.Uint32(v[16:])), uint64(binary.BigEndian.Uint32(v[12:])))
		}
		at += length
	}
	return 0
}

// mp3Time reads the first frame behind the tags: what Xing's header says, or that
// all frames are alike.
func mp3Time(f io.ReaderAt, size int64) time.Duration {
	at := int64(0)
	tag := make([]byte, 10)
	if _, err := f.ReadAt(tag, 0); err == nil && string(tag[:3]) == "ID3" {
		at = 10 + (int64(tag[6]&0x7f)<<21 | int64(tag[7]&0x7f)<<14 | int64(tag[8]&0x7f)<<7 | int64(tag[9]&0x7f))
	}
	b := make([]byte, 4<<10)
	n, _ := f.ReadAt(b, at)
	b = b[:n]
	for i := 0; i+64 < len(b); i++ {
		if b[i] != 0xff || b[i+1]&0xe0 != 0xe0 {
			continue
		}
		version, layer := b[i+1]>>3&3, b[i+1]>>1&3
		bits, rates := b[i+2]>>4, b[i+2]>>2&3
		if version == 1 || layer != 1 || bits == 0 || bits == 15 || rates == 3 {
			continue
		}
		rate, samples, side := [3]uint64{44100, 48000, 32000}[rates], uint64(1152), 32
		kbit := [15]uint64{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320}[bits]
		mono := b[i+3]>>6 == 3
		if mono {
			side = 17
		}
		if version != 3 { // MPEG 2 and 2.5
			rate, samples, side = rate/2, 576, 17
			if mono {
				side = 9
			}
			if version == 0 {
				rate /= 2
			}
			kbit = [15]uint64{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160}[bits]
		}
		if x := b[i+4+side:]; len(x) >= 12 && (string(x[:4]) == "Xing" || string(x[:4]) == "Info") && x[7]&1 != 0 {
			return seconds(uint64(binary.BigEndian.Uint32(x[8:]))*samples, rate)
		}
		return seconds(uint64(max(size-at, 0))*8, kbit*1000)
	}
	return 0
}
