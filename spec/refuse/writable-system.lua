-- expect: writable-system.lua:2: "/usr/local" is a system directory; keep what is writable outside of /usr
return policy "x" { files = { read_write { "/usr/local" } } }
