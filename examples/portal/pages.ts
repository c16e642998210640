// The pages of the portal as HTML, and the script that shows what is in the registry. Names need no
// escaping here: a person's is letters, digits and hyphens, and the script writes text, not HTML.

function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${title} - Portal</title>
<h1>${title}</h1>
${body}
</html>
`;
}

export function loginPage(problem = ''): string {
  return page(
    'Log in',
    `<p role="alert">${problem}</p>
<form method="post">
  <p><label>Name <input name="user" autocomplete="username" required autofocus></label></p>
  <p><label>Password <input name="password" type="password" autocomplete="current-password" required></label></p>
  <button>Log in</button>
</form>`,
  );
}

export function homePage(user: string): string {
  return page(
    `Images, ${user}`,
    `<ul id="images"></ul>
<script src="browse.js" type="module"></script>
<form method="post" action="tokens"><button>New token for docker, podman and skopeo</button></form>
<form method="post" action="logout"><button>Log out</button></form>`,
  );
}

export function tokenPage(user: string, token: string, host: string): string {
  return page(
    'Your new token',
    `<p><code id="token">${token}</code></p>
<p>It is shown only now, and replaces the one that you had. Log in with it as <code>${user}</code>:</p>
<pre>docker login --username ${user} ${escaped(host)}</pre>
<p><a href=".">Back</a></p>`,
  );
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** Runs in the browser, whose cookie is all that the registry asks for. */
export const BROWSE_SCRIPT = `
const get = async (path) => {
  const answer = await fetch('v2/' + path);
  if (!answer.ok) throw new Error(path + ': ' + answer.status);
  return answer.json();
};

const show = (text) => {
  const item = document.createElement('li');
  item.textContent = text;
  document.querySelector('#images').append(item);
};

try {
  const { repositories } = await get('_catalog');
  for (const name of repositories) show(name + ': ' + (await get(name + '/tags/list')).tags.join(', '));
  if (repositories.length === 0) show('Nothing has been pushed yet.');
} catch (error) {
  show(error.message);
}
`;
