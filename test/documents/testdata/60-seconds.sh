ln -s "$(dirname "$(command -v imagefs)")" bin
