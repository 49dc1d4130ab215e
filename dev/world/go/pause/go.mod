module strongroom.dev/world/pause

go 1.26
