//go:build !windows

package subscriber

import "syscall"

// badName are the errors of names that a file system cannot hold.
var badName = [...]syscall.Errno{syscall.ENAMETOOLONG, syscall.EINVAL, syscall.EILSEQ}
