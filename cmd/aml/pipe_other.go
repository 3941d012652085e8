//go:build !unix

package main

func (a *app) outputPath(output string) (string, func(error) error, error) {
	return ordinaryPath(output)
}

func (a *app) inputPath(input string) (string, func(error) error, error) { return ordinaryPath(input) }

// ordinaryPath is all there is where pipes have no names.
func ordinaryPath(file string) (string, func(error) error, error) {
	if file == "-" {
		return "", nil, usageError("this system has no named pipes: name a file, not -")
	}
	path, err := absolute(file)
	return path, func(err error) error { return err }, err
}
