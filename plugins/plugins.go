// Package plugins is the vocabulary of plugins: hooks, capabilities, what
// stands in plugin.yaml and plugins.lock, and what a plugin may decide.
//
// Its rooms are plugins/confine and plugins/child (a process), plugins/shelf
// (what is installed, on disk), plugins/host (who asks plugins, and what their
// silence means), plugins/sdk, plugins/skeleton and plugins/kit (for authors: the
// library, what plugin-new writes, what plugin-test looks at), plugins/bundled (those
// that are a part of aml, each in a folder of its own) and plugins/command (a command
// of the operator's that some of them run). It is pure: no file, process or clock. A
// plugin sees only what was verified, and nothing that it says may make
// valid what was not.
package plugins

import (
	"errors"
	"io/fs"
)

// missing is an error that is also fs.ErrNotExist, without saying so in its text.
type missing string

func (m missing) Error() string { return string(m) }
func (missing) Unwrap() error   { return fs.ErrNotExist }

// One sentinel per decision that a caller makes; test with errors.Is.
var (
	// ErrManifest: plugin.yaml is not what it has to be.
	ErrManifest = errors.New("plugin.yaml is not valid")

	// ErrFolder: a plugin's folder has something else in it than files and folders, or
	// too much.
	ErrFolder = errors.New("plugin's folder is not valid")

	// ErrLock: plugins.lock is not what it has to be.
	ErrLock = errors.New("plugins.lock is not valid")

	// ErrUnknown: there is no such plugin. It wraps fs.ErrNotExist.
	ErrUnknown error = missing("no such plugin")

	// ErrChanged: a file of a plugin is not what was installed. Install it again.
	ErrChanged = errors.New("plugin was changed after it was installed")

	// ErrNotGranted: the plugin needs a capability that the operator has not
	// granted.
	ErrNotGranted = errors.New("capability is not granted")

	// ErrNotBundled: no plugin of that name is a part of this program. It wraps
	// fs.ErrNotExist.
	ErrNotBundled error = missing("this version of aml has no such bundled plugin")

	// ErrPlatform: the plugin has no binary for this system.
	ErrPlatform = errors.New("plugin has no binary for this system")

	// ErrConfig: a value that the plugin needs is missing, or one that it does not
	// know is there.
	ErrConfig = errors.New("plugin's configuration is not valid")

	// ErrOff: the plugin is disabled, or failed too often.
	ErrOff = errors.New("plugin is off")

	// ErrFailed: the plugin did not answer, or with something that is no answer.
	ErrFailed = errors.New("plugin failed")
)

// Protocol is the version of aml.plugin.v1 in go-plugin's handshake.
const Protocol = 1

// The magic cookie tells a plugin that was started by hand what it is. It is no
// secret.
const (
	CookieKey   = "AML_PLUGIN"
	CookieValue = "aml.plugin.v1"
)
