"""Glance whose file store declares no random access, as rbd, swift and s3 do not:
every ranged GET is answered 400."""

import sys

from glance.cmd.api import main
from glance_store import capabilities
from glance_store._drivers import filesystem

filesystem.Store._CAPABILITIES = capabilities.BitMasks.RW_ACCESS | capabilities.BitMasks.DRIVER_REUSABLE
sys.exit(main())
