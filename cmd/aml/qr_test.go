package main

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	qrcode "github.com/piglig/go-qr"

	"github.com/anonymous-media-library/aml/node/api"
)

func TestAnAddressComesBackFromItsQRCodeOnATerminalAndAsPNG(t *testing.T) {
	var s api.ShowResult
	s.Address = "aml://" + strings.Repeat("a2y", 17) + "q"
	path := filepath.Join(t.TempDir(), "code.png")
	var out bytes.Buffer
	a := newApp(nil, &out, &out)
	if err := a.showQR(t.Context(), s, true, path, false); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	img, err := png.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := qrcode.Decode(img); err != nil || got != s.Address {
		t.Errorf("the PNG says %q, %v", got, err)
	}
	drawn, address, _ := strings.Cut(out.String(), "aml://")
	if "aml://"+strings.TrimSpace(address) != s.Address || strings.Contains(drawn, "\x1b") {
		t.Errorf("printed %q", out.String())
	}
	if got, err := qrcode.Decode(scan(drawn)); err != nil || got != s.Address {
		t.Errorf("the terminal says %q, %v\n%s", got, err, drawn)
	}
}

// scan makes an image of what was drawn.
func scan(drawn string) image.Image {
	rows := strings.Split(strings.TrimSuffix(drawn, "\n"), "\n")
	const scale = 8
	img := image.NewGray(image.Rect(0, 0, scale*len([]rune(rows[0])), scale*2*len(rows)))
	for y, row := range rows {
		for x, r := range []rune(row) {
			for half, light := range []bool{r == '█' || r == '▀', r == '█' || r == '▄'} {
				if !light {
					continue
				}
				for i := range scale * scale {
					img.SetGray(x*scale+i%scale, (2*y+half)*scale+i/scale, color.Gray{Y: 255})
				}
			}
		}
	}
	return img
}
