//go:build linux && !amd64 && !arm64

package confine

const seccompArch = 0 // not written for it

func filter(Spec, int) program { return nil }
