package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	qrcode "github.com/piglig/go-qr"

	"github.com/anonymous-media-library/aml/node/api"
)

const (
	quiet = 4 // modules of light around a code, as its standard wants
	dots  = 8 // pixels of a PNG for each module
)

// qr is the QR code of an address.
func qr(address string) (*qrcode.QrCode, error) {
	code, err := qrcode.EncodeText(address, qrcode.Medium)
	if err != nil {
		return nil, fmt.Errorf("making a QR code: %w", err)
	}
	return code, nil
}

// showQR prints the code of a channel's address, and writes it as PNG to the file
// path, if there is one.
func (a *app) showQR(ctx context.Context, s api.ShowResult, print bool, path string, replace bool) error {
	address := orElse(s.ReadAddress, s.Address)
	code, err := qr(address)
	if err != nil {
		return err
	}
	if path != "" {
		png, err := code.ToPNGBytes(qrcode.NewQrCodeImgConfig(dots, quiet))
		if err != nil {
			return fmt.Errorf("making a QR code: %w", err)
		}
		out, err := a.newOutput(ctx, path, replace)
		if err != nil {
			return err
		}
		defer out.abort()
		if err := out.commit(png); err != nil {
			return err
		}
	}
	if !print {
		return nil
	}
	var b strings.Builder
	drawQR(&b, code, terminal(a.out) && os.Getenv("NO_COLOR") == "")
	return a.write(fmt.Appendf([]byte(b.String()), "%s\n", address))
}

// drawQR draws a code with two modules to a character, light ones bright: on a
// dark terminal that is right as it is, and colours make it so on others.
func drawQR(w io.Writer, code *qrcode.QrCode, colours bool) {
	light := func(x, y int) bool { return !code.Module(x, y) } // outside of the code all is light
	for y := -quiet; y < code.Size()+quiet; y += 2 {
		if colours {
			fmt.Fprint(w, "\x1b[97;40m")
		}
		for x := -quiet; x < code.Size()+quiet; x++ {
			upper, lower := light(x, y), light(x, y+1) && y+1 < code.Size()+quiet
			switch {
			case upper && lower:
				fmt.Fprint(w, "█")
			case upper:
				fmt.Fprint(w, "▀")
			case lower:
				fmt.Fprint(w, "▄")
			default:
				fmt.Fprint(w, " ")
			}
		}
		if colours {
			fmt.Fprint(w, "\x1b[0m")
		}
		fmt.Fprintln(w)
	}
}
