# Turns the comments of a header into what doxygen reads: a comment before a declaration, which also
# holds for those that follow without an empty line, and a comment behind one. The comment at the top
# is the file's, and also that of a class with the file's name that has none of its own. Comments in
# bodies of functions stay as they are. What namespace detail has is left out, but for bases of public
# classes, and so is what is specialised for the standard library.

# Notes the braces of a line of code: is the next line in the body of a function?
function scan(code, i, c, head) {
  gsub(/"([^"\\]|\\.)*"/, "\"\"", code)
  gsub(/'([^'\\]|\\.)'/, "' '", code)
  for (i = 1; i <= length(code); ++i) {
    c = substr(code, i, 1)
    if (c == "{") {
      head = so_far
      while (gsub(/<[^<>]*>/, "", head)) {}
      scope[++depth] = head ~ /(^|[ ])(namespace|class|struct|union|enum)[ ][^()=]*$/
      if (!scope[depth]) ++bodies
      else repeated = 0
      so_far = ""
    } else if (c == "}") {
      if (!scope[depth]) --bodies
      else repeated = 0
      --depth
      so_far = ""
    } else if (c == ";") {
      so_far = ""
    } else {
      so_far = so_far c
    }
  }
  so_far = so_far ~ /^ *$/ ? "" : so_far " "
}

function print_doc(lines, count, k, line) {
  for (k = 1; k <= count; ++k) {
    line = lines[k]
    sub(/\/\//, "///", line)
    if (line ~ /\/\/\/  +[^ ]/) sub(/\/\/\/ /, "///     ", line)  # a block of code
    print line
  }
}

BEGIN {
  name = ARGV[1]
  sub(/.*\//, "", name)
  sub(/\..*/, "", name)
  has_bases = name ~ /^(atomics|bulk|lock|notifications|reduce)$/  # in namespace detail
}

# A comment that goes on behind code, or a line of one that has a line of its own.
/^ *\/\/( |$)/ {
  if (behind && match($0, /\/\//) == column) {
    sub(/\/\//, "///<")
    print
  } else if (bodies || so_far != "") {
    print
  } else {
    behind = 0
    held[++lines] = $0
  }
  next
}

/^ *$/ {
  for (k = 1; k <= lines; ++k) print held[k]  # it is of no declaration
  lines = repeated = behind = 0
  print
  next
}

/^#pragma once/ {
  print "/// @file"
  print_doc(held, lines)
  for (k = 1; k <= lines; ++k) top[k] = held[k]
  tops = lines
  lines = 0
}

/^namespace detail {$/ && !has_bases || /^template/ && depth == 0 {
  print "/// @cond"
  hidden = depth + 1
}

# The first page lists the headers in the order of shard.hpp.
name == "shard" && /^#include ".*  \/\/ / {
  split($2, path, /["\/]/)
  headers = headers "\n/// - " path[3] ": " substr($0, index($0, "// ") + 3)
}
END {
  if (headers) print "/// @mainpage The headers" headers
}

/^ *#/ || /^ *(public|private|protected):/ {
  repeated = 0
  print
  next
}

{
  behind = 0
  column = index($0, "  // ")
  code = column ? substr($0, 1, column - 1) : $0
  begins = !bodies && so_far == "" && code !~ /^ *}/
  if (begins && lines) {
    print_doc(held, lines)
    for (k = 1; k <= lines; ++k) last[k] = held[k]
    repeated = lines
  } else if (begins && !column && $0 ~ "^(class|struct) " name " {$") {
    print_doc(top, tops)
  } else if (begins && !column && repeated) {
    print_doc(last, repeated)
  }
  lines = 0
  if (column && !bodies && code !~ /^ *}/) {
    $0 = code "  ///<" substr($0, column + 4)
    column += 2
    behind = 1
  }
  print
  scan(code)
  if (hidden > depth && so_far == "") {
    print "/// @endcond"
    hidden = 0
  }
}
