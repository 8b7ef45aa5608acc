# Home Assistant hands out its own engine under the name voluptuous; so its types are the ones that hold.
from probatio import *
