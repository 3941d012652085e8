//go:build !unix

package api

import "os"

// private says why the folder dir cannot hold this user's socket. Who may write
// to it is for the system's own lists to say.
func private(dir string) error {
	_, err := os.Stat(dir)
	return err
}
