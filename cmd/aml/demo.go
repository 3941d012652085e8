package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
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
			d := &demo{app: a, dir: dir}
			return d.run(cmd.Context(), given)
		},
	}
}

// demo is one run of the demonstration.
type demo struct {
	app     *app
	dir     string
	program string
}

// say prints a line for people; --json has the events alone.
func (d *demo) say(format string, args ...any) {
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
	go publisher.drain()
	d.say("   %d files, %s in %s", published.Entries, config.FormatSize(int64(published.Bytes)), sealed.Round(time.Millisecond))
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
func (d *demo) receive(p *process, done *api.SubscribeResult) ([]api.FileEvent, error) {
	var files []api.FileEvent
	for {
		e, err := p.next()
		if err != nil {
			return nil, err
		}
		switch e.Name {
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

// process is this very program, run as another, with a home of its own.
type process struct {
	app   *app
	name  string
	cmd   *exec.Cmd
	lines *bufio.Scanner

	trouble bytes.Buffer // standard error, shown if the process fails
}

func (d *demo) start(ctx context.Context, name string, args ...string) (*process, error) {
	args = append(args, "--json", "--home", filepath.Join(d.dir, name), "--listen", "/ip4/127.0.0.1/tcp/0", "--set", "lan=false")
	cmd := exec.CommandContext(ctx, d.program, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	p := &process{app: d.app, name: name, cmd: cmd}
	cmd.Stderr = &p.trouble
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("starting the %s: %w", name, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the %s: %w", name, err)
	}
	p.lines = bufio.NewScanner(out)
	p.lines.Buffer(nil, 16<<20)
	return p, nil
}

// next reads the process's next event.
func (p *process) next() (api.Event, error) {
	if !p.lines.Scan() {
		err := p.lines.Err()
		if err == nil {
			err = p.cmd.Wait()
		}
		var why api.Error
		if json.Unmarshal(p.trouble.Bytes(), &why) == nil && why.Code != "" {
			return api.Event{}, &api.Error{Code: why.Code, Message: p.name + ": " + why.Message}
		}
		return api.Event{}, fmt.Errorf("the %s ended early: %w\n%s", p.name, orEOF(err), bytes.TrimSpace(p.trouble.Bytes()))
	}
	if p.app.json {
		_ = p.app.write(append(p.lines.Bytes()[:len(p.lines.Bytes()):len(p.lines.Bytes())], '\n'))
	}
	e := api.Event{Raw: p.lines.Bytes()}
	var head struct {
		Event string `json:"event"`
	}
	if err := json.Unmarshal(e.Raw, &head); err != nil {
		return e, fmt.Errorf("reading what the %s says: %w", p.name, err)
	}
	e.Name = head.Event
	return e, nil
}

// wait skips to the first event of that name and decodes it into v.
func (p *process) wait(name string, v any) error {
	for {
		e, err := p.next()
		if err != nil {
			return err
		}
		if e.Name == name {
			return e.Decode(v)
		}
	}
}

// drain reads on without looking, so that the process never waits for us.
func (p *process) drain() {
	for p.lines.Scan() {
	}
}

// stop interrupts the process and waits for its end.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(os.Interrupt)
	_ = p.cmd.Wait()
}

func orEOF(err error) error {
	if err == nil {
		return io.ErrUnexpectedEOF
	}
	return err
}
