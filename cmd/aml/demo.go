package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/anonymous-media-library/aml"
	"github.com/anonymous-media-library/aml/config"
	"github.com/anonymous-media-library/aml/node/api"
)

func (a *app) demoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "demo [PATH]",
		Short: "publish and follow a channel on this machine, in two processes",
		Long: `Start a publisher and a subscriber as two processes with homes of their own in a
temporary folder, on loopback; publish PATH, a file or a folder (default: this
very program and its README), and show how it arrives. Nothing leaves this
machine, and the folder is removed at the end.`,
		Example: "  aml demo\n  aml demo movie.mkv",
		Args:    args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, given []string) error {
			dir, err := os.MkdirTemp("", "aml-demo-")
			if err != nil {
				return fmt.Errorf("making the demo's folder: %w", err)
			}
			defer os.RemoveAll(dir)
			d := &demo{app: a, dir: dir, progress: &printer{app: a, stream: true}}
			return d.run(cmd.Context(), given)
		},
	}
}

// demo is one run of the demonstration.
type demo struct {
	app     *app
	dir     string
	program string

	progress *printer // shows progress on a terminal
}

// say prints a line for people; --json has the events alone.
func (d *demo) say(format string, args ...any) {
	d.progress.clear()
	if !d.app.json {
		fmt.Fprintf(d.app.out, format+"\n", args...)
	}
}

func (d *demo) run(ctx context.Context, given []string) error {
	var err error
	if d.program, err = os.Executable(); err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	paths, err := d.paths(given)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	d.say("1. A publisher with a home of its own seals, signs and serves:")
	began := time.Now()
	publisher, err := d.start(ctx, "publisher", append([]string{"channel-publish", "demo/hello", "--title", "Hello"}, paths...)...)
	if err != nil {
		return err
	}
	defer publisher.stop()
	var listening api.ListeningEvent
	if err := publisher.wait("listening", &listening); err != nil {
		return err
	}
	if len(listening.Addrs) == 0 {
		return errors.New("the publisher listens nowhere")
	}
	var published api.PublishResult
	if err := publisher.wait("published", &published); err != nil {
		return err
	}
	sealed := time.Since(began)
	go publisher.ignore()
	d.say("   %s, %s in %s", counted(published.Entries, "file"), config.FormatSize(int64(published.Bytes)), sealed.Round(time.Millisecond))
	d.say("   address  %s", published.Address)

	d.say("2. A subscriber, another process, has that address and fetches:")
	began = time.Now()
	out := filepath.Join(d.dir, "received")
	subscriber, err := d.start(ctx, "subscriber", "channel-subscribe", published.Address, "--peer", listening.Addrs[0], "-o", out, "--once")
	if err != nil {
		return err
	}
	defer subscriber.stop()
	var done api.SubscribeResult
	files, err := d.receive(subscriber, &done)
	if err != nil {
		return err
	}
	took := time.Since(began)
	d.say("   %s in %s: %s/s, process start included", config.FormatSize(int64(done.Bytes)), took.Round(time.Millisecond),
		config.FormatSize(int64(float64(done.Bytes)/took.Seconds())))

	if d.app.json {
		return d.verdict(files, sealed, took)
	}
	d.say("3. Hashed once more from disk, against what the publisher signed:")
	for _, f := range files {
		if err := verifyFile(f); err != nil {
			return err
		}
		d.say("   ok  %s  %s", f.SHA256, f.Name)
	}
	d.say(`
Next, with your own files, in two terminals or on two machines of one network:
   aml channel-publish music/live show.flac
   aml channel-subscribe ADDRESS -o live
and 'aml daemon' keeps both going. 'aml help' has the rest.`)
	return nil
}

// verdict is the last line with --json: every file was hashed once more.
func (d *demo) verdict(files []api.FileEvent, sealed, took time.Duration) error {
	for _, f := range files {
		if err := verifyFile(f); err != nil {
			return err
		}
	}
	return d.app.line(struct {
		Event     string  `json:"event"`
		Files     int     `json:"files"`
		Published float64 `json:"publishedSeconds"`
		Received  float64 `json:"receivedSeconds"`
	}{"verified", len(files), sealed.Seconds(), took.Seconds()})
}

// paths are the files to publish.
func (d *demo) paths(given []string) ([]string, error) {
	if len(given) > 0 {
		path, err := absolute(given[0])
		return []string{path}, err
	}
	readme := filepath.Join(d.dir, "README.md")
	if err := os.WriteFile(readme, []byte(aml.Readme), 0o644); err != nil {
		return nil, fmt.Errorf("writing the README to publish: %w", err)
	}
	return []string{d.program, readme}, nil
}

// receive reads the subscriber's events to the end.
func (d *demo) receive(p *child, done *api.SubscribeResult) ([]api.FileEvent, error) {
	var files []api.FileEvent
	for {
		e, err := p.next()
		if err != nil {
			return nil, err
		}
		switch e.Name {
		case "progress":
			d.progress.event(e)
		case "file":
			var f api.FileEvent
			if err := e.Decode(&f); err != nil {
				return nil, err
			}
			files = append(files, f)
			d.say("   got %s (%s)", f.Name, config.FormatSize(int64(f.Size)))
		case "error":
			var v api.ErrorEvent
			if err := e.Decode(&v); err != nil {
				return nil, err
			}
			d.say("   %s", v.Message)
		case "done":
			return files, e.Decode(done)
		}
	}
}

// verifyFile hashes a received file without any of aml's own reading code.
func verifyFile(f api.FileEvent) error {
	file, err := os.Open(f.Path)
	if err != nil {
		return fmt.Errorf("verifying: %w", err)
	}
	defer file.Close()
	h := sha256.New()
	if _, err := io.Copy(h, file); err != nil {
		return fmt.Errorf("verifying %s: %w", f.Path, err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != fmt.Sprint(f.SHA256) {
		return &api.Error{Code: api.CodeVerify, Message: fmt.Sprintf("%s has the SHA-256 %s on disk, but %s was signed", f.Name, got, f.SHA256)}
	}
	return nil
}
