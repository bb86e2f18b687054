//go:build !linux || !amd64

package chdb

import "errors"

func bind(string) (*library, error) {
	return nil, errors.New("libchdb.so is for Linux on x86-64 only")
}
