package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
)

// Paths says where a node keeps what. Nothing needs to exist yet.
type Paths struct {
	Home     string `json:"home"`     // what the others lie in, but for Config and Socket under XDG
	Config   string `json:"config"`   // config.yaml
	Keys     string `json:"keys"`     // folder of key files, each 0600
	Catalog  string `json:"catalog"`  // aml.db: roots, logs, heads, entries, subscriptions
	Blobs    string `json:"blobs"`    // the blob store
	InPlace  string `json:"inPlace"`  // which blobs lie in files of the user, and their keys
	Roots    string `json:"roots"`    // which files that were ingested or fetched a daemon announces
	Given    string `json:"given"`    // how far own logs and roots were given out
	Accounts string `json:"accounts"` // what was moved with whom
	Copies   string `json:"copies"`   // folder: who had copies of which channel when that was last looked at
	Plugins  string `json:"plugins"`  // what is installed of them, and what they keep
	Mirror   string `json:"mirror"`   // which blobs are kept for channels that are mirrored
	NATS     string `json:"nats"`     // the streams of the built-in NATS server
	Files    string `json:"files"`    // what subscriptions without a folder of their own write
	Identity string `json:"identity"` // the key that names this node to its peers
	Socket   string `json:"socket"`   // the local API of the node that runs on this home
	Lock     string `json:"lock"`     // held by that node
}

// socketLimit is what a Unix socket's path may have at the most on every
// system that Go runs on (104 on BSD and macOS, 108 on Linux), less the final zero.
const socketLimit = 103

// FindPaths lays out the paths below home; if home is empty, below $AML_HOME;
// if that is empty too, by the XDG base directory specification:
// $XDG_DATA_HOME/aml (default ~/.local/share/aml) with the configuration in
// $XDG_CONFIG_HOME/aml (default ~/.config/aml).
func FindPaths(home string) (Paths, error) {
	if home == "" {
		home = os.Getenv("AML_HOME")
	}
	configDir := home
	if home == "" {
		user, err := os.UserHomeDir()
		if err != nil {
			return Paths{}, fmt.Errorf("finding the home folder: %w; set AML_HOME or use --home", err)
		}
		home = xdg("XDG_DATA_HOME", filepath.Join(user, ".local", "share"))
		configDir = xdg("XDG_CONFIG_HOME", filepath.Join(user, ".config"))
	}
	home, err := filepath.Abs(home)
	if err != nil {
		return Paths{}, fmt.Errorf("home folder %q: %w", home, err)
	}
	if configDir, err = filepath.Abs(configDir); err != nil {
		return Paths{}, fmt.Errorf("configuration folder %q: %w", configDir, err)
	}
	return Paths{
		Home:     home,
		Config:   filepath.Join(configDir, "config.yaml"),
		Keys:     filepath.Join(home, "keys"),
		Catalog:  filepath.Join(home, "aml.db"),
		Blobs:    filepath.Join(home, "blobs"),
		InPlace:  filepath.Join(home, "inplace.db"),
		Roots:    filepath.Join(home, "roots"),
		Given:    filepath.Join(home, "given"),
		Accounts: filepath.Join(home, "peers.db"),
		Copies:   filepath.Join(home, "copies"),
		Plugins:  filepath.Join(home, "plugins"),
		Mirror:   filepath.Join(home, "mirror.db"),
		NATS:     filepath.Join(home, "nats"),
		Files:    filepath.Join(home, "files"),
		Identity: filepath.Join(home, "keys", "node.key"),
		Socket:   socket(home),
		Lock:     filepath.Join(home, "lock"),
	}, nil
}

func xdg(env, fallback string) string {
	if dir := os.Getenv(env); filepath.IsAbs(dir) {
		fallback = dir
	}
	return filepath.Join(fallback, "aml")
}

// socket keeps the API socket in home where its path is short enough, else in
// a folder named by home's hash, below $XDG_RUNTIME_DIR or, without that, the
// temporary folder. Whoever uses it checks that it is this user's alone.
func socket(home string) string {
	path := filepath.Join(home, "api.sock")
	if len(path) <= socketLimit {
		return path
	}
	sum := sha256.Sum256([]byte(home))
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if !filepath.IsAbs(dir) || len(dir) > socketLimit-40 {
		dir = os.TempDir()
	}
	return filepath.Join(dir, fmt.Sprintf("aml-%d-%s", os.Getuid(), hex.EncodeToString(sum[:8])), "api.sock")
}
