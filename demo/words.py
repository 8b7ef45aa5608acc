"""What the demo says in the terminal, by language."""

WORDS = {
    "en": {
        "simulators": "Leader on {leader}, exchange on {exchange}",
        "starting": "Starting Home Assistant (the first time takes a little longer) ...",
        "kept": "Config folder, which is kept: {folder}",
        "adding": "Adding the portfolio ...",
        "history": "Letting the portfolio live through a year (--no-history leaves that out) ...",
        "restarted": "Home Assistant was restarted and runs again.",
        "gone": "Home Assistant has ended by itself (exit code {code}); its log follows.",
        "ended": "Everything has ended.",
        "dry_run": "Dry run",
        "live": "Live on the simulated account",
        "welcome": """
  {url}
  opens the dashboard, already logged in (else: {username} / {password})

  {mode}; a signal every {every:g} s, pushed at once, a poll every {poll} s. Ctrl-C ends everything.

  For another portfolio, on paper or live:
{access}
""",
        "welcome_empty": """
  {url}
  opens Home Assistant, already logged in (else: {username} / {password})

  Settings > Devices & services > Add integration > Calv-a-lot, with
{access}

  A signal every {every:g} s. Ctrl-C ends everything.
""",
        "access": """\
    leader's address     {leader}
    signal secret        {secret}
    exchange's address   {exchange}
    API key              {api_key}
    API secret           {api_secret}""",
    },
    "fr": {
        "simulators": "Leader sur {leader}, plateforme d'échange sur {exchange}",
        "starting": "Démarrage de Home Assistant (un peu plus long la première fois)…",
        "kept": "Dossier de configuration, qui est conservé : {folder}",
        "adding": "Ajout du portefeuille…",
        "history": "Le portefeuille traverse une année d'historique (--no-history s'en passe)…",
        "restarted": "Home Assistant a redémarré et fonctionne de nouveau.",
        "gone": "Home Assistant s'est arrêté de lui-même (code de sortie {code}) ; voici son journal.",
        "ended": "Tout est arrêté.",
        "dry_run": "Simulation",
        "live": "En réel sur le compte simulé",
        "welcome": """
  {url}
  ouvre le tableau de bord, déjà connecté (sinon : {username} / {password})

  {mode} ; un signal toutes les {every:g} s, transmis aussitôt, une interrogation toutes les {poll} s. Ctrl-C arrête tout.

  Pour un autre portefeuille, en simulation ou en réel :
{access}
""",
        "welcome_empty": """
  {url}
  ouvre Home Assistant, déjà connecté (sinon : {username} / {password})

  Paramètres > Appareils et services > Ajouter une intégration > Calv-a-lot, avec
{access}

  Un signal toutes les {every:g} s. Ctrl-C arrête tout.
""",
        "access": """\
    adresse du leader          {leader}
    secret des signaux         {secret}
    adresse de la plateforme   {exchange}
    clé d'API                  {api_key}
    secret d'API               {api_secret}""",
    },
}
