package schema

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/jhump/protoreflect/v2/protoprint"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/miracledb/miracledb/internal/errs"
)

// mainFile is the path of the schema's own file: no import can have it.
const mainFile = "\x00schema.proto"

func (s *Schema) parseProtobuf() error {
	sources := map[string]string{}
	if err := importProtobuf(sources, s.Imports, 0); err != nil {
		return err
	}
	if raw, ok := descriptor(s.Text); ok {
		text, err := print(raw, sources)
		if err != nil {
			return err
		}
		s.Text = strings.TrimSpace(text)
	}
	var err error
	if s.File, err = compile(s.Text, sources); err != nil {
		return err
	}
	d := protodesc.ToFileDescriptorProto(s.File)
	d.Name, d.SourceCodeInfo = nil, nil
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(d)
	s.identity = string(b)
	s.normal = s.identity
	return err
}

// compile reads Protobuf source; what it imports is in sources or is of Protobuf itself.
func compile(text string, sources map[string]string) (protoreflect.FileDescriptor, error) {
	all := map[string]string{mainFile: text}
	for path, source := range sources {
		all[path] = source
	}
	c := protocompile.Compiler{MaxParallelism: 1, Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{
		Accessor: protocompile.SourceAccessorFromMap(all)})}
	files, err := c.Compile(context.Background(), mainFile)
	if err != nil {
		return nil, errs.New(errs.Invalid, "invalid Protobuf schema: %s", strings.TrimPrefix(err.Error(), mainFile+":"))
	}
	return files[0], nil
}

func importProtobuf(sources map[string]string, imports []Import, depth int) error {
	for _, im := range imports {
		if im.Schema.Type != Protobuf {
			return errs.New(errs.Invalid, "reference %q is no Protobuf schema", im.Name)
		}
		if _, done := sources[im.Name]; done {
			continue
		}
		sources[im.Name] = im.Schema.Text
		if err := importProtobuf(sources, im.Schema.Imports, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// descriptor reads a schema that is the base64 of a FileDescriptorProto, as clients that have no source send it.
func descriptor(text string) (*descriptorpb.FileDescriptorProto, bool) {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(b) == 0 {
		return nil, false
	}
	d := &descriptorpb.FileDescriptorProto{}
	if err := proto.Unmarshal(b, d); err != nil {
		return nil, false
	}
	return d, true
}

// print gives the source of a descriptor.
func print(d *descriptorpb.FileDescriptorProto, sources map[string]string) (string, error) {
	var files protoregistry.Files
	for _, path := range d.Dependency {
		if err := link(&files, path, sources); err != nil {
			return "", err
		}
	}
	fd, err := protodesc.FileOptions{AllowUnresolvable: false}.New(d, &resolver{&files})
	if err != nil {
		return "", errs.New(errs.Invalid, "invalid Protobuf schema: %w", err)
	}
	text, err := (&protoprint.Printer{}).PrintProtoToString(fd)
	if err != nil {
		return "", errs.New(errs.Invalid, "invalid Protobuf schema: %w", err)
	}
	return text, nil
}

// link adds the file of an import to files, with those that it imports.
func link(files *protoregistry.Files, path string, sources map[string]string) error {
	text, ok := sources[path]
	if !ok {
		return nil // of Protobuf itself, or not there: the resolver knows
	}
	fd, err := compile(text, sources)
	if err != nil {
		return err
	}
	d := protodesc.ToFileDescriptorProto(fd)
	d.Name = &path
	for _, p := range d.Dependency {
		if _, err := files.FindFileByPath(p); err != nil {
			if err := link(files, p, sources); err != nil {
				return err
			}
		}
	}
	named, err := protodesc.NewFile(d, &resolver{files})
	if err == nil {
		if _, ferr := files.FindFileByPath(path); ferr != nil {
			err = files.RegisterFile(named)
		}
	}
	if err != nil {
		return errs.New(errs.Invalid, "import %q: %w", path, err)
	}
	return nil
}

// resolver finds what is in files, else what belongs to Protobuf itself.
type resolver struct{ files *protoregistry.Files }

func (r *resolver) FindFileByPath(path string) (protoreflect.FileDescriptor, error) {
	if fd, err := r.files.FindFileByPath(path); err == nil {
		return fd, nil
	}
	return standard(path)
}

func (r *resolver) FindDescriptorByName(name protoreflect.FullName) (protoreflect.Descriptor, error) {
	if d, err := r.files.FindDescriptorByName(name); err == nil {
		return d, nil
	}
	return protoregistry.GlobalFiles.FindDescriptorByName(name)
}

// standard finds one of the files that come with Protobuf.
func standard(path string) (protoreflect.FileDescriptor, error) {
	c := protocompile.Compiler{MaxParallelism: 1,
		Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{Accessor: protocompile.SourceAccessorFromMap(nil)})}
	files, err := c.Compile(context.Background(), path)
	if err != nil {
		return nil, fmt.Errorf("import %q is neither a reference of the schema nor one of Protobuf's own files", path)
	}
	return files[0], nil
}

// Serialized is a Protobuf schema as the base64 of its FileDescriptorProto.
func (s *Schema) Serialized() (string, error) {
	if s.File == nil {
		return "", errs.New(errs.Invalid, "format serialized is for Protobuf schemas")
	}
	d := protodesc.ToFileDescriptorProto(s.File)
	name := "default"
	d.Name, d.SourceCodeInfo = &name, nil
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(d)
	return base64.StdEncoding.EncodeToString(b), err
}

// Message finds the message that a frame's indexes name: the n-th message of the file, the n-th within that, and so on.
func (s *Schema) Message(indexes []int32) (protoreflect.MessageDescriptor, error) {
	if s.File == nil {
		return nil, errs.New(errs.Invalid, "the schema is of type %s, not PROTOBUF", s.Type)
	}
	in := s.File.Messages()
	var m protoreflect.MessageDescriptor
	for _, i := range indexes {
		if i < 0 || int(i) >= in.Len() {
			return nil, errs.New(errs.Invalid, "message indexes %v name no message of the schema", indexes)
		}
		m = in.Get(int(i))
		in = m.Messages()
	}
	if m == nil {
		return nil, errs.New(errs.Invalid, "no message index")
	}
	return m, nil
}
