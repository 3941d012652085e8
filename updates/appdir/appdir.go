// Package appdir keeps the folder of an installed application: it stages a version,
// switches to it in one step, asks a command whether it works, and goes back if not.
//
// It is for whoever updates applications, a command or a program itself. Whatever a power
// loss or a kill interrupts, the folder has one whole version in force, the old or the
// new one. It must never run anything of a version but the health command that its caller
// gives, never write outside of its folder, and knows no channels and no network: what is
// installed was chosen (room updates) and verified before.
//
// The folder:
//
//	current           a link to the version in force
//	versions/1.2.3/   one version, as its archive has it
//	.aml/state.json   what is installed, what was before, what did not work
//	.aml/lock         held by who changes the folder
//	.aml/staging/     what is not yet a version
package appdir

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/anonymous-media-library/aml/internal/disk"
	"github.com/anonymous-media-library/aml/internal/flock"
	"github.com/anonymous-media-library/aml/updates"
)

var (
	// ErrForeign: a folder holds something that is not an application of ours.
	ErrForeign = errors.New("is no application's folder; give an empty or a new one")

	// ErrState: the state of a folder cannot be read. The application is untouched.
	ErrState = errors.New("state of the application's folder is damaged")

	// ErrOther: the folder's application comes from another channel.
	ErrOther = errors.New("comes from another channel, and one folder is for one application")

	// ErrUnhealthy: a version was installed, did not pass its health command, and was
	// taken back. It is not tried again.
	ErrUnhealthy = errors.New("did not pass its health command and was taken back")
)

const (
	currentName  = "current"
	versionsName = "versions"
	ownName      = ".aml"
	stagingName  = ".aml/staging"
	stateName    = ".aml/state.json"
	lockName     = ".aml/lock"
)

// Dir is the folder of an application, which nobody else changes meanwhile. It is not
// for concurrent use.
type Dir struct {
	path  string
	lock  *flock.Lock
	state State
}

// Open takes the folder, which is made if it is missing, and removes what a crash has
// left half-staged. A folder in use gives flock.ErrLocked. Close it.
func Open(path string) (*Dir, error) { return OpenAs(path, ID{}) }

// OpenAs is Open with the number that the installation is to have if it has none yet,
// for whoever has told already what it would get. If zero, a random one.
func OpenAs(path string, fresh ID) (*Dir, error) {
	d := &Dir{path: path}
	if err := d.found(); err != nil {
		return nil, err
	}
	var err error
	if d.lock, err = flock.TryLock(d.at(lockName)); err != nil {
		return nil, err
	}
	if err := d.open(fresh); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// found makes the folder, unless it is somebody else's.
func (d *Dir) found() error {
	entries, err := d.list()
	if err == nil {
		err = d.mine(entries)
	}
	if err != nil {
		return err
	}
	return os.MkdirAll(d.at(ownName), 0o755)
}

// list reads the folder, which may not be there.
func (d *Dir) list() ([]fs.DirEntry, error) {
	if info, err := os.Stat(d.path); err == nil && !info.IsDir() {
		return nil, fmt.Errorf("%s %w: it is a file", d.path, ErrForeign)
	}
	entries, err := os.ReadDir(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return entries, err
}

// mine returns ErrForeign for a folder with something in it that is not an application's,
// or in which something else stands where the link to the version in force belongs.
func (d *Dir) mine(entries []fs.DirEntry) error {
	for _, e := range entries {
		if e.Name() == currentName && e.Type() != fs.ModeSymlink {
			return fmt.Errorf("%s %w: %s in it is no link", d.path, ErrForeign, currentName)
		}
	}
	if len(entries) == 0 {
		return nil
	}
	if _, err := os.Lstat(d.at(stateName)); err == nil {
		return nil
	}
	if len(entries) > 1 || entries[0].Name() != ownName {
		return fmt.Errorf("%s %w", d.path, ErrForeign)
	}
	// A first run that was killed has made the lock before anything else.
	if own, err := os.ReadDir(d.at(ownName)); err != nil || len(own) == 0 {
		return err
	}
	if _, err := os.Lstat(d.at(lockName)); err != nil {
		return fmt.Errorf("%s %w", d.path, ErrForeign)
	}
	return nil
}

func (d *Dir) open(fresh ID) (err error) {
	if d.state, err = d.read(); err != nil {
		return err
	}
	if d.state.Installation == (ID{}) {
		if d.state.Installation = fresh; fresh == (ID{}) {
			_, _ = rand.Read(d.state.Installation[:]) // never fails
		}
		if err := d.save(); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(d.at(stagingName)); err != nil {
		return fmt.Errorf("removing what is half-staged: %w", err)
	}
	return nil
}

// Look is the state of a folder, which may be missing, be changed by somebody meanwhile,
// and stays as it is.
func Look(path string) (State, error) {
	d := &Dir{path: path}
	entries, err := d.list()
	if err == nil {
		err = d.mine(entries)
	}
	if err != nil {
		return State{}, err
	}
	return d.read()
}

// Scratch makes a folder for what is to be staged, such as an archive on its way. It
// goes with Apply, or with the next Open.
func (d *Dir) Scratch() (string, error) {
	path := d.at(stagingName + "/scratch")
	return path, os.MkdirAll(path, 0o755)
}

// Close gives the folder up.
func (d *Dir) Close() error {
	if d.lock == nil {
		return nil
	}
	return d.lock.Unlock()
}

// Path is the folder.
func (d *Dir) Path() string { return d.path }

// State is what is known of the application.
func (d *Dir) State() State { return d.state }

// Current is the folder of the version in force, as whoever starts it names it; empty if
// there is none.
func (d *Dir) Current() string {
	if d.state.Version == "" {
		return ""
	}
	return d.at(currentName)
}

func (d *Dir) at(name string) string { return filepath.Join(d.path, filepath.FromSlash(name)) }

func (d *Dir) version(v string) string { return filepath.Join(d.at(versionsName), v) }

// Version is what Apply installs.
type Version struct {
	Channel string // where it comes from, the same for ever
	Version string
	Archive string // a tar, tar.gz or zip, or one file, which lies in the folder then under Name
	Name    string // of the file in the channel
	Run     bool   // a single file can be run

	Health Health
}

// Apply installs a version: it stages the archive, switches to it, and asks the health
// command; if that says no, the version before is in force again, the error wraps
// ErrUnhealthy, and the version is among State().Refused. The version before is kept,
// older ones are removed. Any other error leaves what was in force.
func (d *Dir) Apply(ctx context.Context, v Version) error {
	if err := updates.CheckVersion(v.Version); err != nil {
		return err
	}
	if err := d.state.From(v.Channel); err != nil {
		return err
	}
	if err := d.Settle(ctx, v.Health); err != nil {
		return err
	}
	if d.state.Version != "" && updates.Compare(v.Version, d.state.Version) <= 0 {
		return fmt.Errorf("version %s is not higher than %s, which is installed", v.Version, d.state.Version)
	}
	err := d.stage(ctx, v)
	err = errors.Join(err, os.RemoveAll(d.at(stagingName)))
	if err != nil {
		return fmt.Errorf("staging version %s: %w", v.Version, err)
	}
	d.state.Channel = v.Channel
	d.state.Switching = &Switch{From: d.state.Version, To: v.Version}
	if err := d.save(); err != nil {
		return err
	}
	if err := d.point(v.Version); err != nil {
		return errors.Join(fmt.Errorf("switching to version %s: %w", v.Version, err), d.back(""))
	}
	return d.Settle(ctx, v.Health)
}

// Settle ends a switch that was begun: by Apply, or by one that was cut short, after
// which the old or the new version is in force. The health command decides between
// them. Without such a switch it sees to it that the version in force is.
func (d *Dir) Settle(ctx context.Context, health Health) error {
	s := d.state.Switching
	if s == nil {
		return d.keepCurrent()
	}
	if err := d.point(s.To); err != nil { // it may have been cut short before
		return errors.Join(fmt.Errorf("switching to version %s: %w", s.To, err), d.back(""))
	}
	if err := health.check(ctx, d.version(s.To), s.To); err != nil {
		if ctx.Err() != nil {
			return err // nobody knows whether it works: asked again next time
		}
		if err := d.back(err.Error()); err != nil {
			return fmt.Errorf("version %s did not pass its health command, and going back to %s failed: %w", s.To, s.From, err)
		}
		return fmt.Errorf("version %s %w: %w", s.To, ErrUnhealthy, err)
	}
	d.state.Version, d.state.Previous, d.state.Switching = s.To, s.From, nil
	d.state.Refused = slices.DeleteFunc(d.state.Refused, func(r Refused) bool { return r.Version == s.To })
	if err := d.save(); err != nil {
		return err
	}
	return d.tidy()
}

// keepCurrent makes the link to the version in force again if it is gone, or leads
// elsewhere. A version that is gone itself gives ErrState.
func (d *Dir) keepCurrent() error {
	v := d.state.Version
	if v == "" {
		return nil
	}
	if to, err := os.Readlink(d.at(currentName)); err == nil && to == filepath.Join(versionsName, v) {
		if _, err := os.Lstat(d.version(v)); err == nil {
			return nil
		}
	}
	if err := d.point(v); err != nil {
		return fmt.Errorf("%w: version %s is not there any more: %w; restore it, or move %s away to install anew", ErrState, v, err, d.path)
	}
	return nil
}

// back makes the version before a switch the one in force. With a reason the other one
// is not tried again.
func (d *Dir) back(reason string) error {
	s := d.state.Switching
	var err error
	if s.From == "" {
		if err = os.Remove(d.at(currentName)); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	} else {
		err = d.point(s.From)
	}
	if err != nil {
		return err
	}
	if reason != "" {
		d.state.refuse(s.To, reason)
	}
	d.state.Switching = nil
	if err := d.save(); err != nil {
		return err
	}
	return d.tidy()
}

// point makes a version the one in force, in one step.
func (d *Dir) point(version string) error {
	if _, err := os.Lstat(d.version(version)); err != nil {
		return err
	}
	fresh := d.at(ownName + "/" + currentName)
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(filepath.Join(versionsName, version), fresh); err != nil {
		return err
	}
	if err := os.Rename(fresh, d.at(currentName)); err != nil {
		return err
	}
	return disk.SyncDir(d.path)
}

// tidy removes versions that are neither in force nor the one before.
func (d *Dir) tidy() error {
	entries, err := os.ReadDir(d.at(versionsName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if name := e.Name(); name != d.state.Version && name != d.state.Previous && updates.CheckVersion(name) == nil {
			if err := os.RemoveAll(d.version(name)); err != nil {
				return fmt.Errorf("removing version %s: %w", name, err)
			}
		}
	}
	return nil
}
