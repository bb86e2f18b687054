package configs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

const maxSecret = 64 << 10

// Secret is a value that is kept outside the config file: "file:PATH" or
// "env:NAME". It prints as that reference however it is printed; only Reveal
// and Bytes give the value.
type Secret struct {
	ref string
	// Two pointers away: where a struct hides its Secret in an unexported field
	// fmt calls no methods, and follows one pointer for some verbs.
	held *held
}

type held struct{ value *[]byte }

func (Secret) Syntax() Syntax {
	return Syntax{
		Name:    "secret",
		Wants:   "file:PATH or env:NAME; the secret itself stays out of this file",
		Pattern: secretForm.String(),
	}
}

// UnmarshalText takes the reference; Read gets the value. It never shows the
// text, in which the secret itself may stand.
func (s *Secret) UnmarshalText(text []byte) error {
	if !secretForm.Match(text) {
		return formError("not a reference to a secret")
	}
	*s = Secret{ref: string(text)}
	return nil
}

func (s *Secret) resolve(dir string, absentOK bool) error {
	if path, ok := strings.CutPrefix(s.ref, "file:"); ok {
		s.ref = "file:" + absolute(dir, path)
	}
	err := s.Read()
	if absentOK && s.File() != "" && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Read gets the value of the reference anew. One line break at the end of a
// file is not part of it. An empty value is an error.
func (s *Secret) Read() error {
	value, err := s.lookup()
	if err != nil {
		return err
	}
	if len(value) == 0 {
		return fmt.Errorf("%s is empty", s.ref)
	}
	s.held = &held{&value}
	return nil
}

func (s *Secret) lookup() ([]byte, error) {
	if name, ok := strings.CutPrefix(s.ref, "env:"); ok {
		value, set := os.LookupEnv(name)
		if !set {
			return nil, fmt.Errorf("environment variable %s is not set", name)
		}
		return []byte(value), nil
	}
	info, err := os.Stat(s.File())
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // a pipe would hold up the start
		return nil, fmt.Errorf("%s is not a regular file", s.ref)
	}
	f, err := os.Open(s.File())
	if err != nil {
		return nil, err
	}
	defer f.Close()
	value, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return nil, err
	}
	if len(value) > maxSecret {
		return nil, fmt.Errorf("%s is larger than %v", s.ref, Size(maxSecret))
	}
	if line, ok := bytes.CutSuffix(value, []byte("\n")); ok {
		value, _ = bytes.CutSuffix(line, []byte("\r"))
	}
	return value, nil
}

// File is the path that the reference names, or "" for another kind.
func (s Secret) File() string {
	path, _ := strings.CutPrefix(s.ref, "file:")
	if path == s.ref {
		return ""
	}
	return path
}

// IsZero tells whether no reference was given.
func (s Secret) IsZero() bool { return s.ref == "" }

// Absent tells that the file the reference names did not exist and may be made
// (the tag absent:"ok"); call Read once it is there.
func (s Secret) Absent() bool { return s.ref != "" && s.held == nil }

// Reveal is the value as a string; "" where there is none.
func (s Secret) Reveal() string { return string(s.Bytes()) }

// Bytes is the value, not to be changed; nil where there is none.
func (s Secret) Bytes() []byte {
	if s.held == nil {
		return nil
	}
	return *s.held.value
}

func (s Secret) String() string               { return s.ref }
func (s Secret) GoString() string             { return "configs.Secret(" + s.ref + ")" }
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.ref), nil }
